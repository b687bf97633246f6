"""The `serve` command: embedded servers, the API and a local worker in one process tree."""
