"""HTTP transport: API calls, and bodies to and from storage."""
