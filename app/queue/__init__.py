"""The job queue from the worker's side: enqueue, claim, leases, transitions."""
