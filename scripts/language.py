"""`python -m scripts.language`: check the language of docstrings, comments, messages and documents.

CONTRIBUTING.md has the rules. This check finds words and first words that break them; it cannot
find that a text is clear.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

WORDS = re.compile(
    r"\b(he|him|his|she|hers|we|us|our|ours|whoever|whomever|whom|nobody|somebody|anybody|told|"
    r"tells|goes by|let in|hold that|held against|as it comes|as they come|what becomes|"
    r"(?:is|are|was) none|of ours|by itself alone)\b",
    re.IGNORECASE,
)
"""Words of narrative style, and idioms that a reader has to guess."""

FIRST_WORDS = re.compile(
    r"(what|who|whose|where|when|how|whether|from|made|bytes that|that|those|some|all that)\b",
    re.IGNORECASE,
)
"""First words of docstrings that do not state what an object is or does."""

DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "client/README.md",
    "client/CHANGELOG.md",
)
DESCRIPTIONS = ("openapi/openapi.json", "openapi/asyncapi.yaml")
MESSAGES = ("app/", "client/src/")
"""Folders whose exception texts and problem details are checked."""

MIN_MESSAGE_WORDS = 3
_CODE = re.compile(r"`[^`]*`|\"[^\"]*\"")


class Finding(NamedTuple):
    """A text that breaks a rule."""

    place: str
    text: str
    rule: str


def main() -> int:
    """Print all findings; return 1 if there are any."""
    findings = [*_python_findings(), *_document_findings(), *_description_findings()]
    for finding in findings:
        sys.stderr.write(f"{finding.place}: {finding.rule}: {finding.text}\n")
    return 1 if findings else 0


def _python_findings() -> Iterator[Finding]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.py"],
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.split():
        source = Path(name).read_text()
        for line, text, is_docstring in _texts(source):
            yield from _check(f"{name}:{line}", text, has_first_word=is_docstring)
        if name.startswith(MESSAGES):
            for line, text in _messages(ast.parse(source)):
                yield from _check(f"{name}:{line}", text, has_first_word=False)


def _texts(source: str) -> Iterator[tuple[int, str, bool]]:
    """Yield (line, text, is_docstring) of the docstrings and comments of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _docstrings(node.body)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not token.string.startswith(("#!", "# type:")):
            yield token.start[0], token.string.partition("noqa")[0], False


def _docstrings(body: list[ast.stmt]) -> Iterator[tuple[int, str, bool]]:
    """Yield (line, text, True) of the docstring of a body and of those of its attributes."""
    for statement in body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            value = statement.value.value
            if isinstance(value, str):
                yield statement.lineno, value, True


def _messages(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of the exception texts and problem details of a module."""
    for node in ast.walk(tree):
        for value in _message_values(node):
            for line, text in _strings(value):
                if len(text.split()) >= MIN_MESSAGE_WORDS:
                    yield line, text


def _message_values(node: ast.AST) -> Iterable[ast.expr]:
    """Return the expressions of a node that hold messages.

    These are the arguments of `raise X(...)` and `super().__init__(...)`, and the values of the
    class attribute `detail`.
    """
    match node:
        case ast.Raise(exc=ast.Call() as call):
            return [*call.args, *(keyword.value for keyword in call.keywords)]
        case ast.Call(
            func=ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr="__init__")
        ):
            return [*node.args, *(keyword.value for keyword in node.keywords)]
        case ast.ClassDef():
            return [value for statement in node.body for value in _details(statement)]
    return ()


def _details(statement: ast.stmt) -> Iterator[ast.expr]:
    match statement:
        case ast.Assign(targets=[ast.Name(id="detail")], value=value):
            yield value
        case ast.AnnAssign(target=ast.Name(id="detail"), value=ast.expr() as value):
            yield value


def _strings(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of the strings in an expression; `{}` stands for values in f-strings."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.lineno, node.value
    elif isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        yield node.lineno, "".join(str(part) for part in parts)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _strings(child)


def _document_findings() -> Iterator[Finding]:
    for name in DOCUMENTS:
        is_code = False
        for number, line in enumerate(Path(name).read_text().splitlines(), 1):
            is_code ^= line.lstrip().startswith("```")
            if not is_code and not line.startswith("    "):
                yield from _check(f"{name}:{number}", line, has_first_word=False)


def _description_findings() -> Iterator[Finding]:
    for name in DESCRIPTIONS:
        for path, text in _descriptions(YAML(typ="safe").load(Path(name))):  # JSON is YAML too
            yield from _check(f"{name} {path}", text, has_first_word=True)


def _descriptions(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _descriptions(item, f"{path}/{number}")
    elif isinstance(value, dict):
        for name, item in value.items():
            if name == "description" and isinstance(item, str):
                yield path, item
            else:
                yield from _descriptions(item, f"{path}/{name}")


def _check(place: str, text: str, *, has_first_word: bool) -> Iterator[Finding]:
    plain = _CODE.sub("", text)
    for found in WORDS.finditer(plain):
        yield Finding(place, _excerpt(text), f"the word {found[0]!r}")
    if has_first_word and FIRST_WORDS.match(plain.lstrip()):
        yield Finding(place, _excerpt(text), "the first word")


def _excerpt(text: str) -> str:
    return " ".join(text.split())[:100]


if __name__ == "__main__":
    sys.exit(main())
