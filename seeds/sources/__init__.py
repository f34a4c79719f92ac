"""Sources of seeds: one file each, discovered by their ``kind``."""
