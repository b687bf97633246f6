"""Contract types of import-linter for the service.

They read the domains from `app/domains.py` and the kinds of modules from file names, so they cover
new domains without changes.
"""

from __future__ import annotations

import ast
import sys
from abc import abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output
from importlinter.application import contract_utils
from importlinter.application.contract_utils import AlertLevel

ROOT = Path(__file__).parents[1]
DOMAIN = "app.domain"
SETTINGS = "app.settings"
INFRASTRUCTURE = (
    ("app.database",),
    ("app.runtime",),
    ("app.http",),
    ("app.storage", "app.outbound", "app.media"),
)
"""Folders that import no domain, by layer, lowest first."""
FOLDERS = [folder for layer in INFRASTRUCTURE for folder in layer]
WIRE = "processing_context.wire"
CONVERT = "processing_context.convert"
WIRE_LIBRARIES = frozenset({"pydantic", "pydantic_core", *sys.stdlib_module_names})


def domain_packages(source: str) -> list[str]:
    """Return the packages of the domains, in the order of the tuple `DOMAINS` in `app.domains`."""
    packages: dict[str, str] = {}
    names: list[str] = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").endswith(".domain"):
            for alias in node.names:
                packages[alias.asname or alias.name] = str(node.module).removesuffix(".domain")
        elif isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Tuple):
            names = [each.id for each in node.value.elts if isinstance(each, ast.Name)]
    return [packages[name] for name in names]


def _is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _package(module: str, packages: Collection[str]) -> str | None:
    """Return the innermost of the given packages that contains a module, or None."""
    return max((each for each in packages if _is_in(module, each)), key=len, default=None)


class _ImportContract(Contract):
    """Base class of contracts that check each direct import separately.

    Options:
        ignore_imports: Imports that are not checked, as `importer -> imported`.
    """

    ignore_imports = fields.SetField(subfield=fields.ImportExpressionField(), required=False)

    @abstractmethod
    def problem(self, importer: str, imported: str) -> str | None:
        """Return the reason why an import is not allowed; None if it is allowed."""

    def validate(self) -> None:
        """Read the domains."""
        self.domains = domain_packages((ROOT / "app/domains.py").read_text())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002
        """Check all direct imports."""
        ignored = contract_utils.remove_ignored_imports_and_report(
            graph, self.ignore_imports, AlertLevel.ERROR
        )
        violations = [
            f"{importer} -> {imported}: {problem}"
            for importer in sorted(graph.modules)
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if (problem := self.problem(importer, imported)) is not None
        ]
        return ContractCheck(
            kept=not violations,
            ignored_import_count=ignored.ignored_import_count,
            metadata={"violations": violations},
        )

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print the imports that are not allowed."""
        for violation in check.metadata["violations"]:
            output.print_error(violation, bold=False)
        output.new_line()


class DomainOrder(_ImportContract):
    """Contract: modules of the service import only modules that precede them in an order.

    The order is: the layers of the infrastructure, `app.domain`, the domains in the order of
    `app/domains.py`, the assembly. `app.settings` can be imported everywhere.

    Options:
        assembly: Modules and folders that can import everything.
        independent: Domains that import no other domain.
    """

    type_name = "domain_order"

    assembly = fields.ListField(subfield=fields.StringField())
    independent = fields.ListField(subfield=fields.StringField(), required=False, default=[])

    def problem(self, importer: str, imported: str) -> str | None:
        """Return the reason why an import violates the order; None if it does not."""
        if not (_is_in(importer, "app") and _is_in(imported, "app")) or imported == SETTINGS:
            return None
        before, after = self._place(imported), self._place(importer)
        if after is None:
            return f"{importer} belongs neither to a domain in app/domains.py nor to infrastructure"
        if before is None:
            return f"{imported} belongs neither to a domain in app/domains.py nor to infrastructure"
        if before == after:
            return None
        if before[0] >= after[0]:
            return f"{before[1]} does not precede {after[1]}"
        if after[1] in self.independent and before[0] > len(INFRASTRUCTURE) + 1:
            return f"{after[1]} must not import other domains"
        return None

    def _place(self, module: str) -> tuple[int, str] | None:
        """Return the position of a module in the order, and its folder."""
        registrations = len(INFRASTRUCTURE) + 1
        if _package(module, self.assembly):
            return sys.maxsize, "the assembly"
        if module == SETTINGS:
            return 0, SETTINGS
        if module == DOMAIN:
            return len(INFRASTRUCTURE), DOMAIN
        if folder := _package(module, FOLDERS):
            if module.endswith(".domain"):
                return registrations, module
            return next(n for n, layer in enumerate(INFRASTRUCTURE) if folder in layer), folder
        if domain := _package(module, self.domains):
            return registrations + 1 + self.domains.index(domain), domain
        return None


@dataclass(frozen=True)
class _Rule:
    """Imports that are allowed for a kind of module, besides modules of the same kind.

    `own` are kinds of modules of its own domain, `others` those of other domains, `folders` modules
    and folders of the infrastructure (None: all). `libraries` may not be imported.
    """

    own: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    folders: Collection[str] | None = None
    has_wire: bool = True
    libraries: frozenset[str] = frozenset()


_DATABASE = frozenset({"sqlalchemy", "asyncpg"})
_STORAGE = frozenset({"minio", "obstore"})
_WEB = frozenset({"fastapi", "starlette"})
_SERVICE = frozenset({"service", "errors"})
_RULES = {
    "routes": _Rule(
        own=_SERVICE | {"schemas"},
        others=_SERVICE,
        folders=("app.http", "app.runtime", "app.storage"),
        libraries=_DATABASE | _STORAGE,
    ),
    "schemas": _Rule(own=frozenset({"queries"}), folders=(), libraries=_DATABASE | _STORAGE | _WEB),
    "queries": _Rule(
        own=frozenset({"models"}),
        folders=("app.database", "app.runtime.ids"),
        libraries=_STORAGE | _WEB,
    ),
    "models": _Rule(folders=("app.database",), has_wire=False, libraries=_STORAGE | _WEB),
    "errors": _Rule(folders=("app.http.problems",), has_wire=False, libraries=_DATABASE | _WEB),
    "service": _Rule(own=frozenset({"queries", "models", "schemas", "errors"}), others=_SERVICE),
}
_RULES["domain"] = _Rule(own=frozenset(_RULES), others=_SERVICE)


def _kind(module: str) -> str:
    """Return the kind of a module by its file name; `service` for all other names."""
    name = module.rpartition(".")[2].rpartition("_")[2]
    return name if name in _RULES else "service"


class ModuleKinds(_ImportContract):
    """Contract: each kind of module in a domain imports only certain kinds of modules.

    Options:
        engine: Domains that this contract treats as one.
        public: Modules that other domains may import besides services and errors.
        values: Modules of plain values, which routes, queries and schemas may import too.
        ignore_imports: See `_ImportContract`.
    """

    type_name = "module_kinds"

    engine = fields.ListField(subfield=fields.StringField(), required=False, default=[])
    public = fields.ListField(subfield=fields.StringField(), required=False, default=[])
    values = fields.ListField(subfield=fields.StringField(), required=False, default=[])

    def problem(self, importer: str, imported: str) -> str | None:
        """Return the reason why a module may not import another; None if it may."""
        if _is_in(importer, WIRE):
            is_allowed = _is_in(imported, WIRE) or imported in WIRE_LIBRARIES
            return None if is_allowed else "wire models use the standard library and pydantic only"
        if not _is_in(importer, "app"):
            return None
        is_shared = _is_in(imported, WIRE) or _is_in(imported, CONVERT)
        if _is_in(imported, "processing_context") and not is_shared:
            return "of the client, the service uses only wire models and conversions"
        domain = self._domain(importer)
        return None if domain is None else self._problem_in_domain(domain, importer, imported)

    def _problem_in_domain(self, domain: str, importer: str, imported: str) -> str | None:
        kind, rule = _kind(importer), _RULES[_kind(importer)]
        if _is_in(imported, WIRE):
            return None if rule.has_wire else f"{kind} modules must not use wire models"
        if not _is_in(imported, "app"):
            if imported in rule.libraries:
                return f"{kind} modules must not use {imported}"
            return None
        other = self._domain(imported)
        if other == domain:
            is_value = imported in self.values and kind in ("queries", "routes", "schemas")
            if is_value or _kind(imported) in rule.own | {kind}:
                return None
            return f"{kind} modules import only {sorted(rule.own)} of their own domain"
        if other is not None:
            is_public = imported in self.public and rule.others
            if is_public or imported.rpartition(".")[2] in rule.others:
                return None
            return f"{kind} modules import only {sorted(rule.others)} of another domain"
        if rule.folders is None or imported == SETTINGS or _package(imported, rule.folders):
            return None
        return f"{kind} modules must not import {imported}"

    def _domain(self, module: str) -> str | None:
        """Return the domain of a module; `engine` for the domains of the engine."""
        if _package(module, FOLDERS):
            return None
        domain = _package(module, self.domains)
        return "engine" if domain in self.engine else domain
