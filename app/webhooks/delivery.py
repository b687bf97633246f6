"""One attempt to deliver: sign it, post it, judge the answer."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from standardwebhooks import Webhook as Signer

from app.outbound import Answer, UrlNotAllowed, UrlUnreachable, WebhookClient
from app.runtime.encryption import Seal, SealBroken
from app.webhooks.retry_schedule import asked_s

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What was claimed; `now` is that moment by PostgreSQL's clock."""

    id: str
    user_id: str
    receiver: str
    url: str
    secret: str | None
    body: str
    attempts: int
    attempts_before: int
    now: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt; without an error it was delivered.

    `asked_s` is how long the receiver asks to be left alone. When `is_final`, no other attempt is
    wanted.
    """

    status_code: int | None = None
    body: str | None = None
    error: str | None = None
    asked_s: float = 0
    is_final: bool = False


class Sender:
    """Posts messages, signed where their webhook has a secret."""

    def __init__(self, client: WebhookClient, seal: Seal) -> None:
        self._client = client
        self._seal = seal

    async def send(self, attempt: Attempt) -> Outcome:
        """Make an attempt; whatever goes wrong is an outcome too."""
        try:
            headers = self._headers(attempt)
            answer = await self._client.post(attempt.url, attempt.body.encode(), headers)
        except (UrlNotAllowed, UrlUnreachable) as exc:
            return Outcome(error=exc.detail)
        except SealBroken:
            return Outcome(error="The secret cannot be read: CONTEXT_SECRET_KEY has changed.")
        except Exception:
            logger.exception("webhook %s could not be sent", attempt.id)
            return Outcome(error="The service could not send it.")
        return _judged(answer, attempt.now)

    def _headers(self, attempt: Attempt) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "webhook-id": attempt.id,
            "webhook-timestamp": str(int(attempt.now.timestamp())),
        }
        if attempt.secret is not None:
            secrets = self._seal.open(attempt.secret, owner_id=attempt.user_id).split(" ")
            headers["webhook-signature"] = " ".join(
                Signer(secret).sign(attempt.id, attempt.now, attempt.body) for secret in secrets
            )
        return headers


def _judged(answer: Answer, now: datetime) -> Outcome:
    """Return what an answer means, by the specification."""
    code = answer.status_code
    # PostgreSQL's text holds no NUL.
    body = answer.body.decode(errors="replace").replace("\x00", "\ufffd")
    if 200 <= code < 300:
        return Outcome(code, body)
    error = f"The receiver answered with status {code}."
    if 300 <= code < 400:
        error += " Redirects are not followed: give the URL that they lead to."
    elif code == HTTPStatus.GONE:
        error += " It wants no more of it."
    return Outcome(
        code,
        body,
        error,
        asked_s=asked_s(answer.retry_after, now),
        is_final=code == HTTPStatus.GONE,
    )
