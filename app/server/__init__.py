"""The `serve` command: embedded servers, the API and a local worker as one process tree."""
