"""Delivery attempts: sign a message, post it, and classify the response."""

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
    """Outcome of an attempt; without an error, the message was delivered.

    `retry_after_s` is the delay that the receiver asks for. After a final outcome there are no
    retries.
    """

    status_code: int | None = None
    body: str | None = None
    error: str | None = None
    retry_after_s: float = 0
    is_final: bool = False


class DeliverySender:
    """Posts messages, with a signature if the webhook has a secret (Standard Webhooks)."""

    def __init__(self, client: WebhookClient, encryption: Encryption) -> None:
        self._client = client
        self._encryption = encryption

    async def send(self, attempt: AttemptRecord) -> Outcome:
        """Make an attempt; every failure is returned as an outcome."""
        try:
            headers = self._headers(attempt)
            answer = await self._client.post(attempt.url, attempt.body.encode(), headers)
        except (UrlNotAllowed, UrlUnreachable) as exc:
            return Outcome(error=exc.detail)
        except DecryptionError:
            return Outcome(error="Cannot decrypt the secret: CONTEXT_SECRET_KEY has changed.")
        except Exception:
            logger.exception("cannot send webhook %s", attempt.id)
            return Outcome(error="The service failed to send the message.")
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
    """Return the outcome of a response, according to Standard Webhooks."""
    code = answer.status_code
    # A text column of PostgreSQL cannot store NUL.
    body = answer.body.decode(errors="replace").replace("\x00", "\ufffd")
    if 200 <= code < 300:
        return Outcome(code, body)
    error = f"The receiver answered with status {code}."
    if 300 <= code < 400:
        error += " Redirects are not followed: use the URL of the target."
    elif code == HTTPStatus.GONE:
        error += " It rejects all further attempts."
    return Outcome(
        code,
        body,
        error,
        retry_after_s=retry_after_s(answer.retry_after, now),
        is_final=code == HTTPStatus.GONE,
    )
