"""The service: assets, jobs, events and temporary files over HTTP and WebSocket."""
