"""Domain of temporary files."""
