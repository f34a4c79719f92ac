"""Mutators: one file each, discovered by their ``kind``."""
