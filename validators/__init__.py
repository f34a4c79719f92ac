"""Validators: one file each, discovered by their ``kind``."""
