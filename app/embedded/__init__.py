"""Embedded PostgreSQL and S3 servers, which keep their data in the data directory."""
