"""`Idempotency-Key`: a POST that creates, sent twice, creates once."""
