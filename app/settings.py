"""Settings of the service, read once from variables with the prefix `CONTEXT_`.

They come from the environment, and from the file `.env` of the working directory (`read_settings`).

The README's table of settings is generated from this class (scripts/openapi).
"""

from __future__ import annotations

import os
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, PrivateAttr, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR

MIN_SECRET_KEY = 32
"""Shortest secret key, in characters."""
_POSTGRES_URL = re.compile(r"postgres(?:ql)?(?:\+asyncpg)?://(?=.)")
_HTTP_URL = re.compile(r"https?://[^/\s]+")


class Settings(BaseSettings):
    """The settings; `CONTEXT_PORT=8100` sets `port`. Durations in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix="CONTEXT_", env_ignore_empty=True, extra="ignore")

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0: any free port.")
    data_dir: Path = Field(
        Path(".data"),
        description="Data of the embedded servers, generated credentials and tokens.",
    )
    secrets_dir: Path | None = Field(
        None,
        description="Folder of files that are named like variables in lower case, such as "
        "`context_s3_secret_key`, and hold the values of those that are not set: mounted secrets "
        "of containers. From the environment only.",
    )
    log_level: str = Field("INFO", description="`DEBUG`, `INFO`, `WARNING` or `ERROR`.")

    database_url: str | None = Field(
        None,
        description="PostgreSQL 14 or later: `postgresql://user:password@host/db`, with libpq's "
        "parameters such as `?sslmode=require`. Unset: an embedded server is started in the data "
        "directory.",
    )
    postgres_bin_dir: Path | None = Field(
        None, description="Programs of the embedded PostgreSQL. Unset: the installed package."
    )
    database_pool_size: int = Field(10, ge=2, description="Connections to PostgreSQL per replica.")

    s3_endpoint: str | None = Field(
        None,
        description="URL of the S3 storage as the service reaches it. Unset: an embedded server "
        "is started in the data directory.",
    )
    s3_public_endpoint: str | None = Field(
        None,
        description="URL of the S3 storage as browsers and remote workers reach it. Unset: the "
        "endpoint.",
    )
    s3_access_key: SecretStr | None = Field(
        None, description="Access key of the S3 storage; required with an endpoint."
    )
    s3_secret_key: SecretStr | None = Field(
        None, description="Secret key of the S3 storage; required with an endpoint."
    )
    s3_region: str = Field("us-east-1", description="Region of the S3 storage.")
    s3_asset_bucket: str = Field(
        "context-assets", description="Bucket of assets; created where it is missing."
    )
    s3_temp_bucket: str = Field(
        "context-temp", description="Bucket of temporary files; created where it is missing."
    )

    secret_key: SecretStr | None = Field(
        None,
        description="Key that encrypts stored secrets, the same on every replica; with "
        "`DATABASE_URL` at least 32 characters. Unset: generated into the data directory, which "
        "all replicas must then share.",
    )
    bootstrap_token: SecretStr | None = Field(
        None,
        description="Token of the first user; another value revokes the earlier one for ever. "
        "Unset: the one in `<data dir>/token`, which the first start generates.",
    )
    worker_token: SecretStr | None = Field(
        None,
        description="Token of the workers, with the scopes `worker` and `fleet`; another value "
        "revokes the earlier one for ever. Unset: generated, in `<data dir>/worker-token`.",
    )
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Origins of browser pages, comma-separated. Unset: the same origin only."
    )

    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Addresses and networks (CIDR) of reverse proxies, comma-separated. They may "
        "hold all connections; the clients in their `X-Forwarded-For` are limited instead.",
    )
    max_connections: int | None = Field(
        None,
        ge=2,
        description="Connections at once per replica; one address may hold half of them. Unset: "
        "10,000, or as many as the limit on open files allows.",
    )
    max_head_bytes: int = Field(
        64 * KIB, ge=1 * KIB, description="Largest request line and headers together."
    )
    max_headers: int = Field(256, ge=16, description="Headers of a request.")
    head_timeout_s: float = Field(
        10, gt=0, description="Time to receive the request line and the headers."
    )
    keep_alive_s: float = Field(
        75,
        ge=1,
        description="Time without a request after which a connection is closed. It should be "
        "longer than the time that clients and proxies keep idle connections (nginx: 60).",
    )
    stalled_reader_s: float = Field(
        60, gt=0, description="Time without progress after which a client stops being served."
    )
    rate_limit_per_s: float = Field(
        500,
        ge=0,
        description="Requests per second of one token per replica; all jobs of a user share one "
        "limit. 0: no limit.",
    )
    rate_limit_burst: int = Field(
        2000, gt=0, description="Requests of one token that may exceed its rate at once."
    )
    metrics_token: SecretStr | None = Field(
        None, description="Token that `/metrics` requires. Unset: it needs none."
    )

    max_upload_bytes: int = Field(10 * GIB, gt=0, description="Largest file.")
    max_json_bytes: int = Field(8 * MIB, gt=0, description="Largest JSON body.")
    max_metadata_bytes: int = Field(
        64 * KIB, gt=0, description="Largest `metadata` or `settings` of an object."
    )
    max_event_bytes: int = Field(64 * KIB, gt=0, description="Largest job event.")
    max_job_events: int = Field(
        1_000_000,
        gt=0,
        le=2**30,
        description="Events of one job. Past it, log lines and progress without text are dropped.",
    )
    max_graph_bytes: int = Field(4 * MIB, gt=0, description="Largest graph, as JSON.")
    max_graph_nodes: int = Field(10_000, gt=0, description="Nodes of one graph.")
    max_graph_edges: int = Field(20_000, gt=0, description="Edges of one graph.")
    max_worker_node_types: int = Field(
        20_000, gt=0, description="Node types that one worker registers."
    )
    max_worker_capabilities: int = Field(
        1_000, gt=0, description="Capabilities that one worker registers."
    )
    max_queued_jobs_per_user: int = Field(
        100_000, gt=0, description="Jobs of one user that may be queued at once."
    )
    max_workflows_per_user: int = Field(100_000, gt=0, description="Workflows of one user.")
    max_tokens_per_user: int = Field(1_000, gt=0, description="Tokens of one user.")
    max_workers_per_user: int = Field(1_000, gt=0, description="Registered workers of one user.")
    max_idempotency_keys_per_user: int = Field(
        10_000,
        gt=0,
        description="Idempotency keys of one user's running requests, per replica.",
    )
    max_streamed_uploads: int = Field(
        32,
        gt=0,
        description="Uploads over 1 MiB through the service at once, half of them of one user; "
        "more wait. Each takes up to 30 MiB of memory.",
    )
    max_open_uploads_per_user: int = Field(
        10_000, gt=0, description="Reserved uploads of one user that are not completed."
    )
    stalled_body_s: float = Field(
        60,
        gt=0,
        description="Time without a byte of a request's body after which the request is refused; "
        "slow bodies are not affected.",
    )
    user_quota_bytes: int | None = Field(
        None,
        ge=0,
        description="Bytes that the assets of one user may take. Unset: no limit. "
        "`python -m app users quota` sets another value for one user.",
    )
    temp_ttl_s: int = Field(DAY, gt=0, description="Lifetime of a temporary file.")
    job_temp_ttl_s: int = Field(
        7 * DAY,
        gt=0,
        description="Lifetime of a temporary file that a job created, from the end of the job.",
    )
    temp_quota_bytes: int | None = Field(
        None,
        ge=0,
        description="Bytes that the temporary files of one user may take. Unset: no limit.",
    )
    upload_url_ttl_s: int = Field(
        6 * HOUR, gt=0, description="Lifetime of a presigned URL for an upload."
    )
    url_ttl_s: int = Field(
        HOUR, gt=0, description="Lifetime of the presigned URLs in replies of the API."
    )

    sweep_interval_s: float = Field(
        HOUR,
        gt=0,
        description="Pause between cleanups of what crashes and deletions leave behind. "
        "`python -m app sweep --dry-run` shows what one would do.",
    )
    sweep_grace_s: float = Field(
        HOUR, ge=0, description="Age below which a cleanup leaves everything alone."
    )
    abandoned_upload_s: float = Field(
        DAY, gt=0, description="Age at which an unfinished presigned upload is removed."
    )

    fetch_allow: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Hosts, addresses and networks (CIDR) that are not public and that the "
        "service may still fetch from and post to, comma-separated.",
    )

    decoder_processes: int = Field(
        3,
        gt=0,
        description="Decoder processes per replica; one user takes all but one. They start when "
        "files are to be decoded.",
    )
    decoder_queue: int = Field(
        256, ge=0, description="Files that may wait for a decoder process; more are refused."
    )
    decoder_memory_bytes: int = Field(
        2 * GIB, ge=256 * MIB, description="Memory limit of a decoder process."
    )
    decoder_timeout_s: float = Field(60, gt=0, description="Time limit for decoding one file.")
    max_pixels: int = Field(128 * MIB, gt=0, description="Largest image or video frame, in pixels.")

    lease_ttl_s: float = Field(
        30, gt=0, description="Time without a heartbeat after which a worker loses its job."
    )
    heartbeat_interval_s: float = Field(
        10, gt=0, description="Pause between the heartbeats of workers."
    )
    cancel_grace_s: float = Field(
        30, gt=0, description="Time that a worker has to confirm a cancellation."
    )
    max_running_jobs_per_user: int = Field(
        1000, gt=0, description="Jobs of one user that may run at once."
    )
    job_retention_days: int = Field(
        90, ge=0, description="Days that ended jobs are kept; 0: for ever."
    )
    event_retention_days: int = Field(
        30,
        gt=0,
        description="Days that job events are kept; those of unfinished jobs are kept longer.",
    )

    max_catalogue_bytes: int = Field(
        16 * MIB, gt=0, description="Size of the node descriptions that a worker sends."
    )
    max_catalogues_per_user: int = Field(
        16,
        gt=0,
        description="Different sets of node descriptions that are kept for the workers of a user; "
        "beyond it, those that were seen last.",
    )
    catalogue_retention_days: float = Field(
        7, ge=0, description="Days that node descriptions are kept after their last worker."
    )
    catalogue_cache_bytes: int = Field(
        64 * MIB, gt=0, description="Node descriptions that a replica keeps prepared for checks."
    )

    webhook_timeout_s: float = Field(
        15, gt=0, description="Time that a webhook's receiver has to answer."
    )
    webhook_retry_s: Annotated[tuple[Annotated[float, Field(ge=0)], ...], NoDecode] = Field(
        (5, 300, 1800, 7200, 18_000, 36_000, 21_600),
        description="Pauses between the attempts to deliver a webhook, comma-separated.",
    )
    webhook_concurrency: int = Field(
        64, gt=0, description="Webhook deliveries at once per replica."
    )
    webhook_concurrency_per_receiver: int = Field(
        4, gt=0, description="Of these, to one receiver of one user."
    )

    local_worker_slots: int = Field(
        2, ge=0, description="Jobs at once of the worker that `serve` starts; 0: no worker."
    )
    shutdown_grace_s: float = Field(
        20, ge=0, description="Time that running transfers have when a replica stops."
    )

    _file: Path | None = PrivateAttr(None)

    @property
    def file(self) -> Path | None:
        """The file `.env` that some of the settings may come from."""
        return self._file

    @field_validator("database_url")
    @classmethod
    def _postgres_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not _POSTGRES_URL.match(value):
            raise ValueError("must be like postgresql://user:password@host/database")
        return _POSTGRES_URL.sub("postgresql+asyncpg://", value, count=1)

    @field_validator("s3_endpoint", "s3_public_endpoint")
    @classmethod
    def _http_url(cls, value: str | None) -> str | None:
        if value is not None and not _HTTP_URL.match(value):
            raise ValueError(f"must begin with http:// or https:// and name a host, not {value!r}")
        return value

    @field_validator(
        "allowed_origins", "fetch_allow", "trusted_proxies", "webhook_retry_s", mode="before"
    )
    @classmethod
    def _split_commas(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        for entry in entries:
            try:
                ip_network(entry)
            except ValueError as error:
                raise ValueError(
                    f"{entry!r} is not an address or a network such as 10.0.0.0/8: {error}"
                ) from None
        return entries

    @field_validator("fetch_allow")
    @classmethod
    def _addresses_or_hosts(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        if entries:
            from app.outbound import Allowed

            Allowed.parse(entries)
        return entries

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.lease_ttl_s <= 2 * self.heartbeat_interval_s:
            raise ValueError(
                f"CONTEXT_LEASE_TTL_S ({self.lease_ttl_s:g}) must be longer than two heartbeats "
                f"(2 x CONTEXT_HEARTBEAT_INTERVAL_S = {2 * self.heartbeat_interval_s:g}), "
                "or one late heartbeat loses the job"
            )
        if self.s3_endpoint and not (self.s3_access_key and self.s3_secret_key):
            raise ValueError(
                "CONTEXT_S3_ENDPOINT is set: "
                "set CONTEXT_S3_ACCESS_KEY and CONTEXT_S3_SECRET_KEY too"
            )
        key = self.secret_key.get_secret_value() if self.secret_key else None
        if self.database_url and key is not None and len(key) < MIN_SECRET_KEY:
            raise ValueError(
                f"CONTEXT_SECRET_KEY has {len(key)} characters: set a random one of at least "
                f"{MIN_SECRET_KEY}, the same on every replica"
            )
        return self


def read_settings(file: Path = Path(".env")) -> Settings:
    """Return the settings of the environment and, where a variable is not set there, of a file.

    Raises:
        ValidationError: A setting is not valid.
    """
    secrets_dir = os.environ.get("CONTEXT_SECRETS_DIR") or None
    if not file.is_file():
        return Settings(_secrets_dir=secrets_dir)
    settings = Settings(_env_file=file, _secrets_dir=secrets_dir)
    settings._file = file.absolute()
    return settings
