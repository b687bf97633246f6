"""Webhooks of jobs, by the Standard Webhooks specification."""
