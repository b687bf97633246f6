"""`python -m scripts.settings_table [--check]`: write or check the README's settings."""

from __future__ import annotations

import sys
from pathlib import Path

from app.settings import DAY, GIB, HOUR, KIB, MIB, Settings

README = Path("README.md")
BEGIN, END = "<!-- settings: scripts/openapi writes this table -->\n", "<!-- /settings -->\n"


def main() -> int:
    """Write the table; with `--check` return 1 if the README's table differs."""
    text = README.read_text()
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    written = f"{before}{BEGIN}{table()}{END}{after}"
    if "--check" not in sys.argv[1:]:
        README.write_text(written)
    elif written != text:
        sys.stderr.write("The README's table of settings is out of date: run scripts/openapi.\n")
        return 1
    return 0


def table() -> str:
    """Return the settings as a Markdown table."""
    rows = ["| variable | meaning | default |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = _shown(name, field.get_default())
        rows.append(f"| `CONTEXT_{name.upper()}` | {field.description} | {default} |")
    return "\n".join(rows) + "\n"


def _shown(name: str, value: object) -> str:
    if value in (None, ()):
        return ""
    if isinstance(value, tuple):
        return f"`{','.join(f'{item:g}' for item in value)}`"
    if isinstance(value, int | float) and name.endswith("_bytes"):
        return _with_unit(int(value), ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")))
    if isinstance(value, int | float) and name.endswith("_s"):
        return _with_unit(int(value), ((DAY, "d"), (HOUR, "h"), (1, "s")))
    return f"`{value}`"


def _with_unit(value: int, units: tuple[tuple[int, str], ...]) -> str:
    """Return a number in the largest unit that divides it."""
    for size, unit in units:
        if value and value % size == 0:
            return f"`{value}` ({value // size} {unit})" if size > 1 else f"`{value}`"
    return f"`{value}`"


if __name__ == "__main__":
    sys.exit(main())
