"""HTTP: authentication, routing, problems, pagination, idempotency, request and response bodies."""
