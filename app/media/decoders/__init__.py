"""Decoding of users' files in processes with limits, so that a hostile file fails only its request.

`pool` is used by the service, `child` runs in the processes. This file imports nothing, because the
processes import it too.
"""
