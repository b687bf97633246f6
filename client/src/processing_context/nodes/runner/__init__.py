"""Execution of graphs as data flows."""

from processing_context.nodes.runner.runner import GraphRunner, RunFailedError

__all__ = ["GraphRunner", "RunFailedError"]
