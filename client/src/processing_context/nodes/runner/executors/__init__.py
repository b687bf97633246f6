"""Executors of nodes: on the event loop, in a thread, in a process."""
