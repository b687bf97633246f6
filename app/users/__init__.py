"""The domain of users."""
