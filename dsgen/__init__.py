"""dsgen: verified reasoning data, where every row can prove itself."""

__version__ = "0.1.0"
