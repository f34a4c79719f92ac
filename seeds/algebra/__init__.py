"""Algebra templates."""
