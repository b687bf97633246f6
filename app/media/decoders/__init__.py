"""Decoding of what users send, in processes of their own: a hostile file costs its own request.

This file imports nothing, since those processes import it too: `pool` is the service's side,
`images` and `av_media` are functions for theirs.
"""
