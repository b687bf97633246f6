"""Webhooks: messages about the end of jobs, sent according to Standard Webhooks."""
