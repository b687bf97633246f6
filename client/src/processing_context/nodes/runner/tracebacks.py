"""Errors of nodes, in a size that fits an event."""

from __future__ import annotations

import traceback

_FRAMES = 12
_CHARACTERS = 8_000
_RUNNER = __name__.rpartition(".")[0].replace(".", "/")


def summary(error: BaseException) -> str:
    """Return the kind and the text of an error."""
    return shortened("".join(traceback.format_exception_only(error)).strip())


def short_traceback(error: BaseException) -> str:
    """Return where an error was raised: the last frames, from the node's own code on."""
    shown = traceback.TracebackException.from_exception(error, compact=True)
    pending: list[traceback.TracebackException | None] = [shown]
    while pending:
        part = pending.pop()
        if part is not None:
            part.stack = traceback.StackSummary.from_list(_after_runner(part.stack)[-_FRAMES:])
            pending += [part.__cause__, part.__context__]
    return shortened("".join(shown.format()))


def _after_runner(stack: traceback.StackSummary) -> list[traceback.FrameSummary]:
    """Return the frames below the last of the runner's, which stand for no work of the node."""
    ours = [index for index, frame in enumerate(stack) if _RUNNER in frame.filename]
    return stack[ours[-1] + 1 :] if ours else list(stack)


def shortened(text: str) -> str:
    """Return the text, or its beginning and end and how many characters are left out between."""
    over = len(text) - _CHARACTERS
    if over <= 0:
        return text
    half = _CHARACTERS // 2
    return f"{text[:half]}\n… {over} characters left out …\n{text[-half:]}"
