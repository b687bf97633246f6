from __future__ import annotations

import asyncio
from pathlib import Path

from processing_context.cli.outputs import save_outputs
from processing_context.context import ProcessingContext


async def test_outputs_stay_in_their_directory_and_apart(tmp_path: Path) -> None:
    target = tmp_path / "made" / "here"
    outputs = {"../../etc/passwd": "a", "..": 1, "A": "x", "a": "y", "nul\x00": None, "☃": [1]}
    saved = await save_outputs(ProcessingContext(user_id="somebody"), outputs, target)
    paths = [Path(path) for found in saved.values() for path in found]
    assert all(path.parent == target for path in paths)
    assert len(set(paths)) == len(outputs)
    assert set(paths) == set(await asyncio.to_thread(lambda: list(target.iterdir())))
    assert Path(saved["../../etc/passwd"][0]).name == "etc_passwd.txt"
    assert await asyncio.to_thread(Path(saved["a"][0]).read_text) == "y"


async def test_file_is_saved_as_its_bytes(tmp_path: Path) -> None:
    source = tmp_path / "source.png"
    source.write_bytes(b"\x89PNG")
    context = ProcessingContext(user_id="somebody", allow_local_files=True)
    image = {"type": "image", "uri": source.as_uri()}
    saved = await save_outputs(context, {"one": image, "two": [image, image]}, tmp_path)
    names = [Path(path).name for found in saved.values() for path in found]
    assert names == ["one.png", "two.png", "two-2.png"]
    assert (tmp_path / "two-2.png").read_bytes() == b"\x89PNG"
