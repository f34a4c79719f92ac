"""Geometry templates."""
