"""The domain of temp."""
