"""The domain of workers."""
