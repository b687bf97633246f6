"""PostgreSQL: the pool, statements, migrations, notifications."""
