"""Data and table templates."""
