from __future__ import annotations

import asyncio
from pathlib import Path

from processing_context.cli.outputs import save_outputs
from processing_context.context import ProcessingContext


async def test_outputs_stay_in_their_directory_and_apart(tmp_path: Path) -> None:
    target = tmp_path / "made" / "here"
    outputs = {"../../etc/passwd": "a", "..": 1, "A": "x", "a": "y", "nul\x00": None, "☃": [1]}
    saved = (await save_outputs(ProcessingContext(user_id="somebody"), outputs, target)).paths
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
    saved = (await save_outputs(context, {"one": image, "two": [image, image]}, tmp_path)).paths
    names = [Path(path).name for found in saved.values() for path in found]
    assert names == ["one.png", "two.png", "two-2.png"]
    assert (tmp_path / "two-2.png").read_bytes() == b"\x89PNG"


async def test_a_long_name_is_shortened(tmp_path: Path) -> None:
    context = ProcessingContext(user_id="somebody")
    outputs = {"画像の説明文" * 16: "a", "画像の説明文" * 17: "b", "short": "c"}
    saved = await save_outputs(context, outputs, tmp_path)
    assert not saved.errors
    texts = [await asyncio.to_thread(Path(path).read_text) for (path,) in saved.paths.values()]
    assert texts == ["a", "b", "c"]
    assert all(path.endswith(".txt") for (path,) in saved.paths.values())


async def test_an_existing_file_is_kept_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    context = ProcessingContext(user_id="somebody")
    (tmp_path / "a.txt").write_text("mine")
    saved = await save_outputs(context, {"a": "new"}, tmp_path)
    assert saved.paths == {"a": [str(tmp_path / "a-2.txt")]}
    assert (tmp_path / "a.txt").read_text() == "mine"
    saved = await save_outputs(context, {"a": "new"}, tmp_path, is_overwriting=True)
    assert saved.paths == {"a": [str(tmp_path / "a.txt")]}
    assert (tmp_path / "a.txt").read_text() == "new"


async def test_an_output_that_cannot_be_saved_does_not_cost_the_others(tmp_path: Path) -> None:
    context = ProcessingContext(user_id="somebody", allow_local_files=True)
    lost = {"type": "image", "uri": (tmp_path / "lost.png").as_uri()}
    saved = await save_outputs(context, {"lost": lost, "kept": "x"}, tmp_path / "out")
    assert saved.paths["kept"] == [str(tmp_path / "out" / "kept.txt")]
    assert "lost.png" in saved.errors["lost"]
