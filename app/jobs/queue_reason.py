"""Why a queued job does not run, worked out when somebody reads it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from app.workers.service import WorkerCapabilities


def waiting_reason(
    capabilities: Collection[str],
    node_types: Collection[str],
    workers: Sequence[WorkerCapabilities],
) -> str | None:
    """Return what no worker has that a job needs; None where one can run it."""
    if not workers:
        return "No worker is connected that takes this user's jobs."
    if any(worker.can_run(capabilities, node_types) for worker in workers):
        return None
    unknown = [
        node_type
        for node_type in node_types
        if not any(worker.can_run((), (node_type,)) for worker in workers)
    ]
    missing = [name for name in capabilities if not any(w.can_run((name,), ()) for w in workers)]
    reasons = []
    if unknown:
        reasons.append(f"no worker runs the node type{'s' * (len(unknown) > 1)} {_names(unknown)}")
    if missing:
        many = len(missing) > 1
        reasons.append(f"no worker has the capabilit{'ies' if many else 'y'} {_names(missing)}")
    if not reasons:
        needs = _names([*capabilities, *node_types])
        reasons.append(f"no single worker has all that it needs: {needs}")
    text = "; ".join(reasons)
    return f"{text[0].upper()}{text[1:]}."


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:10])
    return f"{shown} and {len(names) - 10} more" if len(names) > 10 else shown
