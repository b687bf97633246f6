"""Events of jobs: ingest, log, node states, retention and subscribers."""
