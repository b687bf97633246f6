"""`python -m app serve`: the servers it needs, the API and a local worker, from start to end."""
