"""Code tracing templates."""
