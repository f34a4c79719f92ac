"""Seeds: executable templates by family, and loaders of text sources."""
