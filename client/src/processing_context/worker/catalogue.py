"""The nodes that a worker offers, and their descriptions for the service."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

from processing_context._extras import how_to_install
from processing_context._transport.api import dumps
from processing_context.nodes.base import BaseNode
from processing_context.nodes.metadata import describe
from processing_context.nodes.registry import NodeRegistry

logger = logging.getLogger(__name__)


def offered(registry: NodeRegistry, capabilities: Collection[str]) -> NodeRegistry:
    """Return the nodes that a worker can run; log those whose modules are not installed."""
    for module, error in registry.failures.items():
        logger.warning("not offered: the nodes of %s, which cannot be imported: %s", module, error)
    runnable = registry.runnable_with(capabilities)
    needed_by = runnable.missing_modules()
    for command in dict.fromkeys(map(how_to_install, needed_by)):
        modules = [module for module in needed_by if how_to_install(module) == command]
        types = sorted({name for module in modules for name in needed_by[module]})
        logger.warning(
            "not offered: %s; not installed: %s; run: %s",
            *(", ".join(types), ", ".join(modules), command),
        )
    return runnable.with_modules()


def catalogue_json(registry: NodeRegistry) -> bytes:
    """Return the body of `PUT /v1/workers/{id}/catalogue`."""
    nodes = [described for node in registry if (described := _described(node)) is not None]
    return dumps({"nodes": nodes})


def _described(node: type[BaseNode]) -> dict[str, Any] | None:
    """Return the description of a node class; None, with a warning, if it cannot be described."""
    try:
        return describe(node).model_dump(exclude_none=True)
    except Exception as error:  # code of the node's author, such as a default factory
        logger.warning("%s is offered without a description: %s", node.get_node_type(), error)
        return None
