"""The commands for files; those for workers and workflows are in `worker`."""
