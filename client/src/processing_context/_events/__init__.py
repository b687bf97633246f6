"""Job events: subscribing to them and sending them."""
