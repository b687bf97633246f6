"""The registration of domains in an application, and the checks that it is complete."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from fastapi.routing import APIRoute
from sqlalchemy import ForeignKey, Table

from app.database.tables import Base
from app.domain import Domain
from app.http.auth import Access
from app.http.routing import PathLookups, SecuredRoute
from app.runtime.services import Services


class IncompleteDomain(Exception):
    """A domain lacks a part of its registration; the text names the part and the place."""


def secured_routes(domains: Iterable[Domain]) -> list[SecuredRoute]:
    """Return the routes of all domains, each with the access rule of its domain's table.

    Raises:
        IncompleteDomain: A route has no rule, or a rule no route.
    """
    routes: list[SecuredRoute] = []
    for domain in domains:
        unused = set(domain.access)
        for route in _api_routes(domain):
            route.access = _access_of(route, domain)
            unused -= _keys(route)
            routes.append(route)
        if unused:
            raise IncompleteDomain(
                f"the access table of {domain.name!r} has rules without a route: {sorted(unused)}"
            )
    return routes


def _api_routes(domain: Domain) -> Iterator[SecuredRoute]:
    for router in domain.routers:
        for route in router.routes:
            if isinstance(route, SecuredRoute):
                yield route
            elif isinstance(route, APIRoute):
                raise IncompleteDomain(
                    f"the route {route.path} of {domain.name!r} is no SecuredRoute: make its "
                    "router with route_class=SecuredRoute"
                )


def _keys(route: APIRoute) -> set[str]:
    return {f"{method} {route.path_format}" for method in route.methods or ()}


def _access_of(route: APIRoute, domain: Domain) -> Access:
    rules = {domain.access.get(key) for key in _keys(route)}
    rule = rules.pop()
    if rule is None or rules:
        raise IncompleteDomain(
            f"the access table of {domain.name!r} has no rule for {sorted(_keys(route))}"
        )
    return rule


def path_lookups(domains: Iterable[Domain], services: Services) -> PathLookups:
    """Return the look-ups of path parameters of all domains."""
    return PathLookups(
        {
            name: partial(find, services)
            for domain in domains
            for name, find in domain.path_lookups.items()
        }
    )


def check_path_lookups(routes: Iterable[APIRoute], lookups: PathLookups) -> None:
    """Check that every parameter of a path is looked up where the request can fail validation.

    Raises:
        IncompleteDomain: One is not.
    """
    for route in routes:
        parameters = [field.alias for field in route.dependant.path_params]
        if not _can_fail_validation(route.dependant):
            continue
        for name in parameters:
            if name not in lookups and name.endswith("_id"):
                raise IncompleteDomain(
                    f"{sorted(_keys(route))}: no domain has a path_lookup for {name!r}"
                )


def _can_fail_validation(dependant: Any) -> bool:
    """Return whether a request can fail by its body or query."""
    return bool(dependant.body_params or dependant.query_params) or any(
        _can_fail_validation(each) for each in dependant.dependencies
    )


def check_tables(domains: Sequence[Domain]) -> None:
    """Check that every table is a domain's, and that users' rows are deleted with their user.

    Raises:
        IncompleteDomain: A table is not registered, or its rows would outlive their user.
    """
    known = {row.__table__ for domain in domains for row in domain.tables}
    if missing := {table.name for table in Base.metadata.tables.values()} - {
        table.name for table in _tables(known)
    }:
        raise IncompleteDomain(f"tables that no domain lists: {sorted(missing)}")
    deleted = _tables(
        row.__table__ for domain in domains for data in domain.user_data for row in data.tables
    )
    expiring = _tables(row.__table__ for domain in domains for row in domain.expiring_tables)
    covered = _with_cascades(deleted | expiring | {Base.metadata.tables["users"]})
    outliving = {
        table.name
        for table in Base.metadata.tables.values()
        if "user_id" in table.columns and table not in covered
    }
    if outliving:
        raise IncompleteDomain(
            f"rows of deleted users would stay in {sorted(outliving)}: name the table in the "
            "user_data or the expiring_tables of its domain"
        )


def _tables(tables: Iterable[Any]) -> set[Table]:
    return {table for table in tables if isinstance(table, Table)}


def _with_cascades(tables: set[Table]) -> set[Table]:
    """Return tables, and those whose rows are deleted with theirs."""
    covered = set(tables)
    while more := {
        key.parent.table
        for table in Base.metadata.tables.values()
        if table not in covered
        for key in _cascades(table)
        if key.column.table in covered
    }:
        covered |= more
    return covered


def _cascades(table: Table) -> Iterable[ForeignKey]:
    return (key for key in table.foreign_keys if (key.ondelete or "").upper() == "CASCADE")


def access_table(routes: Iterable[SecuredRoute]) -> Mapping[tuple[str, str], Access]:
    """Return the access rules by method and path."""
    return {
        (method, route.path_format): route.access
        for route in routes
        for method in route.methods or ()
    }
