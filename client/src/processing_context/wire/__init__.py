"""Pydantic models of requests and responses, shared by the service and its clients.

Only pydantic and the standard library are imported.
"""
