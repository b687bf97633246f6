"""Tests of the import time of the client, and of its wheel in an empty environment."""

from __future__ import annotations

import importlib
import pydoc
import subprocess
import sys
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import processing_context
from processing_context import ProcessingContext

CLIENT = Path(__file__).parents[2] / "client"
OPTIONAL = (
    "PIL", "numpy", "pandas", "pyarrow", "pydub", "sklearn", "skops", "chromadb", "tqdm", "rich",
)  # fmt: skip
SERVER = ("app", "fastapi", "starlette", "sqlalchemy", "asyncpg", "minio", "obstore", "orjson")


def run(python: Path | str, code: str) -> str:
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    code = f"from hatchling.build import build_wheel; print(build_wheel({str(folder)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CLIENT, capture_output=True, text=True, check=True
    )
    return folder / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def empty_environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment with only the wheel and its requirements."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    packages = next(folder.glob("lib/python*/site-packages"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
        described = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
    required = metadata.PathDistribution(packages / Path(described).parent).requires or []
    for distribution in _closure(required):
        for file in distribution.files or []:
            top = file.parts[0]
            place = packages / top
            if top not in ("..", "__pycache__") and not place.exists():
                place.symlink_to(Path(str(distribution.locate_file(top))))
    return folder / "bin" / "python"


def _closure(required: list[str]) -> list[metadata.Distribution]:
    found: dict[str, metadata.Distribution] = {}
    left = list(required)
    while left:
        requirement = Requirement(left.pop())
        name = requirement.name.lower()
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found[name] = metadata.distribution(name)
        left += found[name].requires or []
    return list(found.values())


def test_every_exported_name_is_there_and_in_dir() -> None:
    for name in processing_context.__all__:
        assert getattr(processing_context, name) is not None
    assert sorted(processing_context.__all__) == dir(processing_context)
    assert len(set(processing_context.__all__)) == len(processing_context.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        processing_context.no_such_name  # noqa: B018


def test_every_public_method_is_documented() -> None:
    for name in dir(processing_context.ProcessingContext):
        if not name.startswith("_"):
            assert getattr(processing_context.ProcessingContext, name).__doc__, name


def test_every_public_method_is_defined_once_and_shows_its_signature_and_docs() -> None:
    bases = [base for base in ProcessingContext.__mro__ if base is not object]
    for name in dir(ProcessingContext):
        if not name.startswith("_") and callable(getattr(ProcessingContext, name)):
            assert len([base for base in bases if name in vars(base)]) == 1, name
    shown = pydoc.plain(pydoc.render_doc(ProcessingContext.create_asset))
    assert "parent_id: 'str | None' = None" in shown
    assert "Upload a file." in shown


def test_conversions_import_the_standard_library_only() -> None:
    code = (
        "import pkgutil, sys, processing_context.convert as convert\n"
        "for module in pkgutil.iter_modules(convert.__path__):\n"
        "    __import__(f'{convert.__name__}.{module.name}')\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    modules = set(run(sys.executable, code).split())
    assert "processing_context" in modules
    assert modules.isdisjoint((*OPTIONAL, "httpx2", "pydantic", "websockets"))


def test_the_wheel_alone_imports_no_optional_and_no_server_module(empty_environment: Path) -> None:
    code = (
        "import sys, processing_context\n"
        "from processing_context import *\n"
        "import processing_context.resources.jobs, processing_context._events.stream\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    modules = set(run(empty_environment, code).split())
    assert "httpx2" in modules
    assert "httpx" not in modules
    assert modules.isdisjoint(OPTIONAL + SERVER)


def test_a_missing_extra_names_the_command_that_mends_it(empty_environment: Path) -> None:
    code = (
        "import asyncio, processing_context as pc\n"
        "ctx = pc.ProcessingContext()\n"
        "png = b'\\x89PNG\\r\\n\\x1a\\n'\n"
        "assert asyncio.run(ctx.image_from_bytes(png)).data == png\n"
        "try: asyncio.run(ctx.image_to_pil(pc.ImageRef(data=png)))\n"
        "except pc.MissingDependencyError as exc: print(isinstance(exc, ImportError), exc)"
    )
    said = run(empty_environment, code)
    assert said == 'True PIL is not installed; run: pip install "processing-context[image]"'


def test_the_wheel_carries_its_types(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert "processing_context/py.typed" in archive.namelist()


def test_importing_it_takes_few_modules(empty_environment: Path) -> None:
    alone = "import sys; before = len(sys.modules); import processing_context\n"
    assert int(run(empty_environment, alone + "print(len(sys.modules) - before)")) < 200
    whole = "import httpx2, pydantic, sys; before = len(sys.modules)\n"
    whole += "from processing_context import ProcessingContext; print(len(sys.modules) - before)"
    assert int(run(empty_environment, whole)) < 200


@pytest.mark.parametrize("module", ["context", "resources.jobs", "convert.image", "_events"])
def test_modules_can_be_imported_in_any_order(module: str) -> None:
    run(sys.executable, f"import processing_context.{module}")
    assert importlib.import_module(f"processing_context.{module}")
