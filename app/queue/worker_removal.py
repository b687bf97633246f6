"""Removal of workers, by request or with their token; their jobs are requeued."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from app.database.statement import Connection
from app.domain import AfterCommit
from app.http.auth import Principal
from app.queue import lease_queries
from app.queue.transitions import JobTransaction, JobTransactions
from app.users.service import UserTokens
from app.workers.service import WorkerService


class WorkerRemoval:
    """Removes workers and requeues their jobs, without counting the attempts."""

    def __init__(
        self, transactions: JobTransactions, workers: WorkerService, tokens: UserTokens
    ) -> None:
        self._transactions = transactions
        self._workers = workers
        self._tokens = tokens

    async def remove(self, worker_id: str, principal: Principal) -> None:
        """Remove a worker.

        Raises:
            WorkerNotFound: It does not exist or belongs to another user.
            Forbidden: Another token registered it.
        """
        async with self._transactions.begin() as transaction:
            await self._workers.delete(transaction.connection, worker_id, principal)
            await _requeue(transaction, [worker_id], "The worker was removed.")

    async def end_tokens(self, on: Connection, token_ids: Collection[str]) -> AfterCommit:
        """Remove the workers of tokens in a transaction; return what publishes that."""
        transaction = JobTransaction(on)
        await self._end(transaction, token_ids)
        return partial(self._transactions.publish_transaction, transaction)

    async def end_invalid_tokens(self) -> None:
        """Remove the workers whose token has expired or no longer exists."""
        token_ids = await self._workers.token_ids()
        invalid = set(token_ids) - await self._tokens.valid_among(token_ids)
        if invalid:
            async with self._transactions.begin() as transaction:
                await self._end(transaction, invalid)

    async def _end(self, transaction: JobTransaction, token_ids: Collection[str]) -> None:
        worker_ids = await self._workers.delete_of_tokens(transaction.connection, token_ids)
        if worker_ids:
            message = "The token of the worker was revoked or has expired."
            await _requeue(transaction, worker_ids, message)


async def _requeue(transaction: JobTransaction, worker_ids: Collection[str], message: str) -> None:
    for lease in await lease_queries.lock_of_workers(transaction.connection, worker_ids):
        await transaction.requeue(lease.job, message, counts=False)
