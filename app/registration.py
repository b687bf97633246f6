"""Registration of the domains' routes and look-ups, and checks for missing registrations."""

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
    """A part of a domain's registration is missing; the message names the part and the place."""


def secured_routes(domains: Iterable[Domain]) -> list[SecuredRoute]:
    """Return the routes of all domains, each with its access rule set.

    Raises:
        IncompleteDomain: A route has no access rule, or a rule has no route.
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
                f"`access` of domain {domain.name!r} has rules without a route: {sorted(unused)}"
            )
    return routes


def _api_routes(domain: Domain) -> Iterator[SecuredRoute]:
    for router in domain.routers:
        for route in router.routes:
            if isinstance(route, SecuredRoute):
                yield route
            elif isinstance(route, APIRoute):
                raise IncompleteDomain(
                    f"the route {route.path} of domain {domain.name!r} is not a SecuredRoute: "
                    "create its router with route_class=SecuredRoute"
                )


def _keys(route: APIRoute) -> set[str]:
    return {f"{method} {route.path_format}" for method in route.methods or ()}


def _access_of(route: APIRoute, domain: Domain) -> Access:
    rules = {domain.access.get(key) for key in _keys(route)}
    rule = rules.pop()
    if rule is None or rules:
        raise IncompleteDomain(
            f"`access` of domain {domain.name!r} has no rule for {sorted(_keys(route))}: add one"
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
    """Check that the ids in the paths of routes that can fail validation have a look-up.

    Raises:
        IncompleteDomain: A look-up is missing.
    """
    for route in routes:
        parameters = [field.alias for field in route.dependant.path_params]
        if not _can_fail_validation(route.dependant):
            continue
        for name in parameters:
            if name not in lookups and name.endswith("_id"):
                raise IncompleteDomain(
                    f"no domain has a look-up for the path parameter {name!r} of "
                    f"{sorted(_keys(route))}: add it to `path_lookups`"
                )


def _can_fail_validation(dependant: Any) -> bool:
    """Return True if a request can fail the validation of its body or query."""
    return bool(dependant.body_params or dependant.query_params) or any(
        _can_fail_validation(each) for each in dependant.dependencies
    )


def check_tables(domains: Sequence[Domain]) -> None:
    """Check that every table belongs to a domain, and that the rows of deleted users are deleted.

    Raises:
        IncompleteDomain: A table is not registered, or rows of deleted users would stay in it.
    """
    known = {row.__table__ for domain in domains for row in domain.tables}
    if missing := {table.name for table in Base.metadata.tables.values()} - {
        table.name for table in _tables(known)
    }:
        raise IncompleteDomain(
            f"no domain has the tables {sorted(missing)}: add each to `tables` of its domain"
        )
    deleted = _tables(
        row.__table__ for domain in domains for data in domain.user_data for row in data.tables
    )
    expiring = _tables(row.__table__ for domain in domains for row in domain.expiring_tables)
    covered = _with_cascades(deleted | expiring | {Base.metadata.tables["users"]})
    uncovered = {
        table.name
        for table in Base.metadata.tables.values()
        if "user_id" in table.columns and table not in covered
    }
    if uncovered:
        raise IncompleteDomain(
            f"rows of deleted users would stay in {sorted(uncovered)}: add each table to "
            "`user_data` or `expiring_tables` of its domain"
        )


def _tables(tables: Iterable[Any]) -> set[Table]:
    return {table for table in tables if isinstance(table, Table)}


def _with_cascades(tables: set[Table]) -> set[Table]:
    """Return tables and all that depend on them by `ON DELETE CASCADE`, directly or not."""
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
