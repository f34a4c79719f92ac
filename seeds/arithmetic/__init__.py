"""Arithmetic templates."""
