"""Logic templates."""
