"""The worker: claims jobs, runs their graphs, tells the service."""
