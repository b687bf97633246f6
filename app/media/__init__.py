"""Media types and the pool of decoder processes."""
