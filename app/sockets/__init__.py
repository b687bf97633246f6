"""WebSocket of the API: operations on jobs, and subscriptions to their events."""
