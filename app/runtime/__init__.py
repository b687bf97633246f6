"""What a replica needs to run: periodic tasks, shutdown, logging, metrics, encryption, ids."""
