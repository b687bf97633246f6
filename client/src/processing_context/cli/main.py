"""Command line `processing-context`: worker, run, nodes, and the commands for files."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from processing_context._tokens import find_token
from processing_context.cli.assets import add_commands
from processing_context.wire.terminal import TerminalFormatter, printable_lines

if TYPE_CHECKING:
    from processing_context.nodes.registry import NodeRegistry


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status."""
    arguments = _parser().parse_args(argv)
    _show_warnings()
    try:
        status: int = arguments.command(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output, such as head, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, LookupError, TypeError, OSError, ImportError) as error:
        sys.stderr.write(printable_lines(f"processing-context: {error}") + "\n")
        return 2
    return status


def _show_warnings() -> None:
    """Write the warnings of this package to stderr, unless the caller has set up logging."""
    handler = logging.StreamHandler()
    handler.setFormatter(TerminalFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def _worker(arguments: argparse.Namespace) -> int:
    from processing_context.cli.worker import serve
    from processing_context.nodes.runner import capture
    from processing_context.worker.logs import log_to_stderr
    from processing_context.worker.token_scrubbing import blot_out, take_secrets
    from processing_context.worker.worker import WorkerOptions

    # Before any node module is imported, so that node code cannot read them.
    token = find_token(arguments.token, argument="--token")
    for secret in filter(None, [token, *take_secrets()]):
        blot_out(secret)
    url = arguments.url or os.environ.get("CONTEXT_URL")
    if not url or not token:
        raise ValueError(
            "pass --url and --token, or set CONTEXT_URL and CONTEXT_TOKEN (or CONTEXT_TOKEN_FILE)"
        )
    log_to_stderr(arguments.log_level)
    capture.install()  # before node modules keep the streams, as in a handler of their own
    named = {"name": arguments.name} if arguments.name else {}
    options = WorkerOptions(
        url=url,
        token=token,
        slots=arguments.slots,
        capabilities=tuple(arguments.capability),
        grace_s=arguments.grace,
        node_memory_bytes=arguments.node_memory,
        metrics_port=arguments.metrics_port,
        metrics_host=arguments.metrics_host,
        **named,
    )
    return serve(options, _registry(arguments.nodes))


def _run(arguments: argparse.Namespace) -> int:
    from processing_context.cli.run import RunOptions, run_file

    return run_file(
        RunOptions(
            workflow=arguments.workflow,
            params=arguments.param,
            url=arguments.url,
            token=find_token(arguments.token, argument="--token"),
            out=arguments.out,
            is_overwriting=arguments.overwrite,
        )
    )


def _check(arguments: argparse.Namespace) -> int:
    from processing_context.cli.check import check_file, check_file_offline

    if arguments.offline:
        return check_file_offline(arguments.workflow, _registry(arguments.nodes))
    if arguments.nodes:
        raise ValueError("--nodes needs --offline: the service checks by the nodes of its workers")
    token = find_token(arguments.token, argument="--token")
    return check_file(arguments.workflow, arguments.url, token)


def _nodes(arguments: argparse.Namespace) -> int:
    from processing_context.nodes.metadata import NodeCatalogue

    catalogue = NodeCatalogue.of(_registry(arguments.nodes))
    sys.stdout.write(catalogue.model_dump_json(indent=2) + "\n")
    return 0


def _registry(modules: Sequence[str]) -> NodeRegistry:
    from processing_context.nodes.registry import NodeRegistry

    if modules and "" not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    return NodeRegistry.installed(modules)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="processing-context", description="Files, workflows, and workers that run them."
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    _add_worker(commands.add_parser("worker", help="claim and run jobs until stopped"))
    _add_run(commands.add_parser("run", help="run a workflow file through the service"))
    _add_check(commands.add_parser("check", help="check a workflow file before it runs"))
    nodes = commands.add_parser("nodes", help="print the installed nodes as JSON")
    _add_nodes(nodes)
    nodes.set_defaults(command=_nodes)
    add_commands(commands, _add_service)
    return parser


def _add_worker(parser: argparse.ArgumentParser) -> None:
    _add_service(parser)
    parser.add_argument("--name", help="name of the worker; default: the host name")
    parser.add_argument("--slots", type=_slots, default=1, help="concurrent jobs; default: 1")
    parser.add_argument(
        "--capability", action="append", default=[], help="capability such as cuda; repeatable"
    )
    _add_nodes(parser)
    parser.add_argument(
        "--grace",
        type=_seconds,
        default=30.0,
        help="seconds for running jobs at the end; default: 30",
    )
    parser.add_argument(
        "--node-memory",
        type=_mib,
        metavar="MIB",
        help="memory limit of a node that runs in its own process; default: none",
    )
    parser.add_argument(
        "--metrics-port",
        type=_port,
        metavar="PORT",
        help="serve Prometheus metrics on this port; default: off",
    )
    parser.add_argument(
        "--metrics-host",
        default="127.0.0.1",
        metavar="HOST",
        help="of the metrics; default: 127.0.0.1",
    )
    parser.add_argument(
        "--log-level", choices=("debug", "info", "warning", "error"), default="info"
    )
    parser.set_defaults(command=_worker)


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "workflow", type=Path, help="JSON file with a graph or an exported workflow"
    )
    parser.add_argument(
        *("-p", "--param"),
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="param of the job; VALUE is JSON, text, or @file to upload; repeatable",
    )
    _add_service(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="save the outputs in this folder")
    parser.add_argument(
        "--overwrite", action="store_true", help="with --out: replace existing files"
    )
    parser.set_defaults(command=_run)


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "workflow", type=Path, help="JSON file with a graph or an exported workflow"
    )
    _add_service(parser)
    parser.add_argument(
        "--offline", action="store_true", help="check by the nodes that are installed here"
    )
    _add_nodes(parser)
    parser.set_defaults(command=_check)


def _add_service(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", help="URL of the service; default: CONTEXT_URL")
    parser.add_argument(
        "--token",
        help="token; default: CONTEXT_TOKEN, or the file CONTEXT_TOKEN_FILE, which other users of "
        "the machine cannot see",
    )


def _add_nodes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        *("--nodes",),
        action="append",
        default=[],
        metavar="MODULE",
        help="Python module with additional nodes; repeatable",
    )


def _slots(text: str) -> int:
    slots = int(text)
    if not 1 <= slots <= 1000:
        raise argparse.ArgumentTypeError(f"must be 1 to 1000, not {slots}")
    return slots


def _mib(text: str) -> int:
    size = int(text)
    if size < 64:
        raise argparse.ArgumentTypeError(f"must be 64 or more, not {size}")
    return size * 1024 * 1024


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"must be 1 to 65535, not {port}")
    return port


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"must be seconds, 0 or more, not {text}")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
