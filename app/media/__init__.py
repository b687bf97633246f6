"""Decoding of media files in a pool of processes."""
