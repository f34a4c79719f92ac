"""Probability templates."""
