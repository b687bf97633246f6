"""Workers: registration, heartbeats and capabilities."""
