"""Worker: claims jobs, runs their graphs, and sends their events."""
