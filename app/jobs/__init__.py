"""The domain of jobs."""
