"""The domain of assets."""
