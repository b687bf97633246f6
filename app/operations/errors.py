"""Problems of the readiness check."""

from __future__ import annotations

from app.http.problems import Unavailable


class NotReady(Unavailable):
    """The replica cannot serve requests; `detail` has the reasons."""

    code = "not_ready"
