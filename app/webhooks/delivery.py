"""One attempt of a delivery: signs the message, posts it, and classifies the answer."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from standardwebhooks import Webhook as Signer

from app.outbound import Answer, UrlNotAllowed, UrlUnreachable, WebhookClient
from app.runtime.encryption import DecryptionError, Encryption
from app.webhooks.queries import AttemptRecord
from app.webhooks.retry_schedule import retry_after_s

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of an attempt; without an error the message was delivered.

    `retry_after_s` is the time until the next attempt that the receiver asks for. After a final
    outcome there is no other attempt.
    """

    status_code: int | None = None
    body: str | None = None
    error: str | None = None
    retry_after_s: float = 0
    is_final: bool = False


class DeliverySender:
    """Posts messages, signed for webhooks with a secret (Standard Webhooks)."""

    def __init__(self, client: WebhookClient, encryption: Encryption) -> None:
        self._client = client
        self._encryption = encryption

    async def send(self, attempt: AttemptRecord) -> Outcome:
        """Make an attempt; a failure of any kind is an outcome too."""
        try:
            headers = self._headers(attempt)
            answer = await self._client.post(attempt.url, attempt.body.encode(), headers)
        except (UrlNotAllowed, UrlUnreachable) as exc:
            return Outcome(error=exc.detail)
        except DecryptionError:
            return Outcome(error="The secret cannot be read: CONTEXT_SECRET_KEY has changed.")
        except Exception:
            logger.exception("webhook %s could not be sent", attempt.id)
            return Outcome(error="The service could not send it.")
        return _outcome(answer, attempt.now)

    def _headers(self, attempt: AttemptRecord) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "webhook-id": attempt.id,
            "webhook-timestamp": str(int(attempt.now.timestamp())),
        }
        if attempt.secret is not None:
            secrets = self._encryption.decrypt(attempt.secret, owner_id=attempt.user_id).split(" ")
            headers["webhook-signature"] = " ".join(
                Signer(secret).sign(attempt.id, attempt.now, attempt.body) for secret in secrets
            )
        return headers


def _outcome(answer: Answer, now: datetime) -> Outcome:
    """Return the outcome that Standard Webhooks gives an answer."""
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
        retry_after_s=retry_after_s(answer.retry_after, now),
        is_final=code == HTTPStatus.GONE,
    )
