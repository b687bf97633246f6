"""Commands `processing-context upload | download | ls | rm | url`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processing_context._tokens import find_token
from processing_context.wire.media_types import guess
from processing_context.wire.terminal import printable, printable_json, printable_lines

if TYPE_CHECKING:
    from processing_context._local_files import OnExisting
    from processing_context.context import ProcessingContext
    from processing_context.wire.assets import Asset

_INTERRUPTED = 130
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")

Command = Callable[["ProcessingContext", argparse.Namespace], Coroutine[Any, Any, None]]


def add_commands(commands: Any, add_service: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add the commands to a parser's sub-parsers.

    Args:
        commands: Return value of `add_subparsers`.
        add_service: Adds the options for the service's URL and token.
    """
    _add_upload(commands.add_parser("upload", help="upload files and folders"))
    _add_download(commands.add_parser("download", help="download a file or a folder"))
    _add_ls(commands.add_parser("ls", help="list a folder"))
    _add_rm(commands.add_parser("rm", help="delete files and folders"))
    _add_url(commands.add_parser("url", help="print a URL that needs no token"))
    for name in ("upload", "download", "ls", "rm", "url"):
        add_service(commands.choices[name])


def _add_upload(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path, nargs="+", help="a file or a folder")
    parser.add_argument("--to", metavar="ID", help="target folder; default: the top level")
    parser.add_argument("--type", metavar="TYPE", help="content type; default: by the file name")
    _add_quiet(parser)
    _set(parser, _upload)


def _add_download(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", help="a file or a folder")
    parser.add_argument(
        "path",
        type=Path,
        nargs="?",
        help="target; default: the asset's name",
    )
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--overwrite", action="store_true", help="replace files that exist")
    existing.add_argument("--skip", action="store_true", help="keep files that exist")
    _add_quiet(parser)
    _set(parser, _download)


def _add_ls(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", help="a folder; default: the top level")
    parser.add_argument("-r", "--recursive", action="store_true", help="include subfolders")
    parser.add_argument("-q", "--search", metavar="TEXT", help="only names that contain TEXT")
    parser.add_argument("--json", action="store_true", help="print one JSON object per line")
    _set(parser, _ls)


def _add_rm(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", nargs="+")
    parser.add_argument("-r", "--recursive", action="store_true", help="delete folder contents")
    _set(parser, _rm)


def _add_url(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id")
    parser.add_argument(
        "--expires-in",
        type=int,
        metavar="SECONDS",
        help="default: an hour; at most a week",
    )
    parser.add_argument("--download", action="store_true", help="make browsers save the file")
    _set(parser, _url)


def _add_quiet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar")


def _set(parser: argparse.ArgumentParser, command: Command) -> None:
    parser.set_defaults(command=lambda arguments: _main(command, arguments))


def _main(command: Command, arguments: argparse.Namespace) -> int:
    from processing_context.errors import ContextError

    try:
        asyncio.run(_run(command, arguments))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; run the command again to resume an upload\n")
        return _INTERRUPTED
    except ContextError as error:
        sys.stderr.write(printable_lines(f"processing-context: {error}") + "\n")
        return 1
    return 0


async def _run(command: Command, arguments: argparse.Namespace) -> None:
    from processing_context.context import ProcessingContext

    token = find_token(arguments.token, argument="--token")
    async with ProcessingContext(base_url=arguments.url, token=token) as ctx:
        await command(ctx, arguments)


async def _upload(ctx: ProcessingContext, arguments: argparse.Namespace) -> None:
    progress = _has_bar(arguments)
    for path in arguments.path:
        if await asyncio.to_thread(path.is_dir):
            asset = await ctx.upload_folder(path, arguments.to, progress=progress)
        else:
            asset = await ctx.create_asset(
                path.name,
                arguments.type or guess(path.name),
                path,
                arguments.to,
                progress=progress,
            )
        _print(f"{asset.id}  {printable(asset.name)}")


async def _download(ctx: ProcessingContext, arguments: argparse.Namespace) -> None:
    from processing_context._local_files import safe_name
    from processing_context.wire.assets import FOLDER

    asset = await ctx.find_asset(arguments.id)
    path = arguments.path or Path(safe_name(asset.name))
    is_folder = asset.content_type == FOLDER
    save = ctx.download_folder if is_folder else ctx.save_asset
    existing: OnExisting = "fail"
    if arguments.overwrite or arguments.skip:
        existing = "overwrite" if arguments.overwrite else "skip"
    saved = await save(asset.id, path, on_existing=existing, progress=_has_bar(arguments))
    _print(printable(str(saved)))


async def _ls(ctx: ProcessingContext, arguments: argparse.Namespace) -> None:
    filters = {
        "parent_id": arguments.id,
        "q": arguments.search,
        "recursive": arguments.recursive or None,
        "page_size": 1000,
    }
    async for asset in ctx.iter_assets(**filters):
        _print(printable_json(asset.model_dump_json()) if arguments.json else _line(asset))


async def _rm(ctx: ProcessingContext, arguments: argparse.Namespace) -> None:
    for asset_id in arguments.id:
        await ctx.delete_asset(asset_id, recursive=arguments.recursive)


async def _url(ctx: ProcessingContext, arguments: argparse.Namespace) -> None:
    url = await ctx.get_asset_url(
        arguments.id, expires_in=arguments.expires_in, download=arguments.download
    )
    _print(printable(url))


def _line(asset: Asset) -> str:
    from processing_context.wire.assets import FOLDER

    is_folder = asset.content_type == FOLDER
    size = "" if is_folder else _size(asset.size)
    name = printable(asset.name) + ("/" if is_folder else "")
    return f"{asset.id}  {asset.created_at:%Y-%m-%d %H:%M}  {size:>10}  {name}"


def _size(count: float) -> str:
    for unit in _UNITS[:-1]:
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {_UNITS[-1]}"


def _has_bar(arguments: argparse.Namespace) -> bool:
    from importlib.util import find_spec

    return not arguments.quiet and sys.stderr.isatty() and find_spec("tqdm") is not None


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
