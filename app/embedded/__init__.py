"""Embedded PostgreSQL and S3 servers, with their data in the data directory."""
