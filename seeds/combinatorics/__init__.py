"""Combinatorics templates."""
