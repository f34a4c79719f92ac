"""The dataset: rows, Parquet, tags, manifest and card."""
