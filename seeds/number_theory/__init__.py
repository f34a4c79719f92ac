"""Number theory templates."""
