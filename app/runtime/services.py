"""Registry of an application's services, by class."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


class Services:
    """Services of one application, one instance of each class.

    A service is added after those that it depends on; so a wrong order is an error at start.
    """

    def __init__(self, *services: object) -> None:
        self._by_class: dict[type, object] = {}
        for service in services:
            self.add(service)

    def add(self, service: object) -> None:
        """Register a service under its class.

        Raises:
            ValueError: A service of this class is already registered.
        """
        kind = type(service)
        if kind in self._by_class:
            raise ValueError(f"a service of the class {kind.__qualname__} is already registered")
        self._by_class[kind] = service

    def get(self, kind: type[T]) -> T:
        """Return the service of a class.

        Raises:
            LookupError: No service of the class is registered.
        """
        service = self._by_class.get(kind)
        if not isinstance(service, kind):
            raise LookupError(
                f"no service of the class {kind.__qualname__} is registered: list its domain in "
                "app/domains.py, before the domains that use it"
            )
        return service
