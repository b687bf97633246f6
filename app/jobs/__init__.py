"""Jobs for their users: routes, responses and the service."""
