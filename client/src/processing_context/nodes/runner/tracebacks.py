"""Summaries and tracebacks of errors of nodes, with limits that fit an event."""

from __future__ import annotations

import traceback

_FRAMES = 12
_CHARACTERS = 8_000
_RUNNER = __name__.rpartition(".")[0].replace(".", "/")


def summary(error: BaseException) -> str:
    """Return the type and message of an error."""
    return shortened("".join(traceback.format_exception_only(error)).strip())


def short_traceback(error: BaseException) -> str:
    """Return the traceback of an error: its last frames, without those of the runner.

    It is empty if the error was raised by the runner itself, not by the code of a node.
    """
    shown = traceback.TracebackException.from_exception(error, compact=True)
    pending: list[traceback.TracebackException | None] = [shown]
    has_frames = False
    while pending:
        part = pending.pop()
        if part is not None:
            part.stack = traceback.StackSummary.from_list(_after_runner(part.stack)[-_FRAMES:])
            has_frames = has_frames or bool(part.stack)
            pending += [part.__cause__, part.__context__]
    return shortened("".join(shown.format())) if has_frames else ""


def _after_runner(stack: traceback.StackSummary) -> list[traceback.FrameSummary]:
    """Return the frames after the last one of the runner."""
    own = [index for index, frame in enumerate(stack) if _RUNNER in frame.filename]
    return stack[own[-1] + 1 :] if own else list(stack)


def shortened(text: str) -> str:
    """Return a text; of a long one, its beginning and end with the number of omitted characters."""
    over = len(text) - _CHARACTERS
    if over <= 0:
        return text
    half = _CHARACTERS // 2
    return f"{text[:half]}\n… {over} characters omitted …\n{text[-half:]}"
