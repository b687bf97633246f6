"""Pool of decoder processes for media files."""
