"""A real PostgreSQL and a real S3 server in the data dir, for whoever has not set up their own."""
