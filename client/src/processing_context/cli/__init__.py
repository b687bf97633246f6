"""The command line `processing-context`."""
