"""The domain of workflows."""
