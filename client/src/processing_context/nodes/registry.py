"""Registry of the installed node classes."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from importlib.metadata import entry_points

from processing_context._extras import is_installed
from processing_context.nodes.base import BaseNode
from processing_context.nodes.errors import NodeDefinitionError, UnknownNodeTypeError

ENTRY_POINTS = "processing_context.nodes"
"""Entry-point group in which distributions list their node modules."""


class NodeRegistry:
    """Node classes by type; each type belongs to one class.

    Attributes:
        failures: Errors of the modules of installed distributions that could not be imported.
    """

    def __init__(self, nodes: Iterable[type[BaseNode]] = ()) -> None:
        """Create a registry of `nodes`."""
        self.failures: dict[str, ImportError] = {}
        self._nodes: dict[str, type[BaseNode]] = {}
        for node in nodes:
            self.add(node)

    @classmethod
    def installed(cls, modules: Iterable[str] = ()) -> NodeRegistry:
        """Return a registry of the nodes of all installed distributions and of `modules`.

        A module of a distribution that cannot be imported, since a package that it needs is not
        installed, is listed in `failures`.

        Raises:
            ImportError: One of `modules` cannot be imported.
        """
        registry = cls()
        for entry_point in sorted(entry_points(group=ENTRY_POINTS)):
            try:
                registry.add_module(entry_point.module)
            except ImportError as error:
                registry.failures[entry_point.module] = error
        for module in modules:
            registry.add_module(module)
        return registry

    def add(self, node: type[BaseNode]) -> None:
        """Add a class.

        Raises:
            NodeDefinitionError: Another class has its type, or its outputs cannot be resolved.
        """
        node_type = node.get_node_type()
        taken = self._nodes.get(node_type)
        if taken is not None and taken is not node:
            raise NodeDefinitionError(
                f"node type {node_type} is defined twice: in {taken.__module__} and"
                f" in {node.__module__}"
            )
        node.outputs()
        self._nodes[node_type] = node

    def add_module(self, name: str) -> None:
        """Import a module or package and add the nodes that are defined in or below it.

        Raises:
            ModuleNotFoundError: The module does not exist.
            NodeDefinitionError: The module defines no node, or one that cannot be added.
        """
        importlib.import_module(name)
        found = [node for node in _subclasses(BaseNode) if _is_within(node.__module__, name)]
        if not found:
            raise NodeDefinitionError(f"module {name} defines no nodes")
        for node in found:
            self.add(node)

    def get(self, node_type: str) -> type[BaseNode]:
        """Return the class of a type.

        Raises:
            UnknownNodeTypeError: The type is not installed.
        """
        try:
            return self._nodes[node_type]
        except KeyError:
            raise UnknownNodeTypeError(self._unknown(node_type)) from None

    def runnable_with(self, capabilities: Collection[str]) -> NodeRegistry:
        """Return a registry of the nodes that require no other capabilities."""
        held = set(capabilities)
        return NodeRegistry(node for node in self if held.issuperset(node.required_capabilities))

    def with_modules(self) -> NodeRegistry:
        """Return a registry of the nodes whose `required_modules` are installed."""
        missing = self.missing_modules()
        return NodeRegistry(
            node for node in self if missing.keys().isdisjoint(node.required_modules)
        )

    def missing_modules(self) -> Mapping[str, list[str]]:
        """Return the modules that are not installed, with the types of the nodes that need them."""
        needed: dict[str, list[str]] = {}
        for node in self:
            for module in node.required_modules:
                needed.setdefault(module, []).append(node.get_node_type())
        return {module: types for module, types in needed.items() if not is_installed(module)}

    def types(self) -> list[str]:
        """Return the sorted types."""
        return sorted(self._nodes)

    def __iter__(self) -> Iterator[type[BaseNode]]:
        """Iterate over the classes, sorted by type."""
        return iter([self._nodes[node_type] for node_type in self.types()])

    def __len__(self) -> int:
        """Return the number of types."""
        return len(self._nodes)

    def _unknown(self, node_type: str) -> str:
        near = difflib.get_close_matches(node_type, self._nodes, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        return f"node type {node_type!r} is not installed{hint}"


def _subclasses(base: type[BaseNode]) -> list[type[BaseNode]]:
    found: dict[type[BaseNode], None] = {}
    pending = [base]
    while pending:
        for node in pending.pop().__subclasses__():
            if node not in found:
                found[node] = None
                pending.append(node)
    return [node for node in found if not node.is_abstract()]


def _is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")
