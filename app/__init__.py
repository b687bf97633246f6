"""The Processing Context service: assets, jobs, events and files over HTTP and WebSocket."""
