"""The domain of events."""
