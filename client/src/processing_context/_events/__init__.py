"""Job events: reading them from the service and sending them to it."""
