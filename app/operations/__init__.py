"""The domain of operations: health checks and metrics."""
