"""Webhooks: the end of a job, told to a URL by the Standard Webhooks specification."""
