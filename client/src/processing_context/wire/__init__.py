"""What crosses the wire, as pydantic models: shared by the service and its clients.

Imports nothing but pydantic and the standard library.
"""
