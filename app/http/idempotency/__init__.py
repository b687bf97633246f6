"""Idempotency keys: a POST request that is repeated with the same key creates its object once."""
