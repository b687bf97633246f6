"""The WebSocket: one connection, many subscriptions."""
