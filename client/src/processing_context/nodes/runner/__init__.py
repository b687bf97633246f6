"""Runs a graph as a data flow."""

from processing_context.nodes.runner.runner import GraphRunner, RunFailedError

__all__ = ["GraphRunner", "RunFailedError"]
