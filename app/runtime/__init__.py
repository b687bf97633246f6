"""Runtime of a replica: services, periodic tasks, shutdown, logging, metrics, encryption, ids."""
