"""PostgreSQL: connection pool, statements, migrations, notifications and batching."""
