"""Every setting of the service, read once in `main` from the environment (prefix `CONTEXT_`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

MIB = 1024 * 1024


class Settings(BaseSettings):
    """The settings; `CONTEXT_PORT=8100` sets `port`. Durations in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix="CONTEXT_", env_ignore_empty=True, extra="ignore")

    # Where it listens, where embedded servers keep their data.
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    data_dir: Path = Path(".data")
    log_level: str = "INFO"

    # PostgreSQL; unset: a real one is started in the data dir.
    database_url: str | None = None
    postgres_bin_dir: Path | None = None
    database_pool_size: Annotated[int, Field(ge=2)] = 10

    # S3; unset: a real server is started in the data dir.
    s3_endpoint: str | None = None
    s3_public_endpoint: str | None = None
    s3_access_key: SecretStr | None = None
    s3_secret_key: SecretStr | None = None
    s3_region: str = "us-east-1"
    s3_asset_bucket: str = "context-assets"
    s3_temp_bucket: str = "context-temp"

    # Who may come in.
    secret_key: SecretStr | None = None
    bootstrap_token: SecretStr | None = None
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = ()

    # Limits.
    max_upload_bytes: Annotated[int, Field(gt=0)] = 10 * 1024 * MIB
    max_json_bytes: Annotated[int, Field(gt=0)] = 8 * MIB
    max_event_bytes: Annotated[int, Field(gt=0)] = 64 * 1024
    # Those over 1 MiB that pass the service; each holds up to some 30 MiB of memory.
    max_streamed_uploads: Annotated[int, Field(gt=0)] = 32
    user_quota_bytes: Annotated[int, Field(ge=0)] | None = None
    temp_ttl_s: Annotated[int, Field(gt=0)] = 24 * 3600
    upload_url_ttl_s: Annotated[int, Field(gt=0)] = 6 * 3600
    url_ttl_s: Annotated[int, Field(gt=0)] = 3600

    # What nobody will finish or name any more is swept; nothing younger than the grace is touched.
    sweep_interval_s: Annotated[float, Field(gt=0)] = 3600
    sweep_grace_s: Annotated[float, Field(ge=0)] = 3600
    abandoned_upload_s: Annotated[float, Field(gt=0)] = 24 * 3600

    # What the service fetches for users beside public addresses: CIDRs, addresses, host names.
    fetch_allow: Annotated[tuple[str, ...], NoDecode] = ()

    # Decoders of what users send: processes that start when they are needed.
    decoder_processes: Annotated[int, Field(gt=0)] = 2
    decoder_memory_bytes: Annotated[int, Field(ge=256 * MIB)] = 2048 * MIB
    decoder_timeout_s: Annotated[float, Field(gt=0)] = 60
    max_pixels: Annotated[int, Field(gt=0)] = 100_000_000

    # Jobs.
    lease_ttl_s: Annotated[float, Field(gt=0)] = 30
    heartbeat_interval_s: Annotated[float, Field(gt=0)] = 10
    cancel_grace_s: Annotated[float, Field(gt=0)] = 30
    max_running_jobs_per_user: Annotated[int, Field(gt=0)] = 1000
    event_retention_days: Annotated[int, Field(gt=0)] = 30

    # Webhooks: how long a receiver has for its answer, the pauses between attempts (a day in all),
    # and how many attempts each replica makes at once.
    webhook_timeout_s: Annotated[float, Field(gt=0)] = 15
    webhook_retry_s: Annotated[tuple[Annotated[float, Field(ge=0)], ...], NoDecode] = (
        5, 300, 1800, 7200, 18_000, 36_000, 21_600,
    )  # fmt: skip
    webhook_concurrency: Annotated[int, Field(gt=0)] = 64
    webhook_concurrency_per_receiver: Annotated[int, Field(gt=0)] = 4

    # The worker that `serve` starts beside the API; 0 starts none.
    local_worker_slots: Annotated[int, Field(ge=0)] = 2

    shutdown_grace_s: Annotated[float, Field(ge=0)] = 20

    @field_validator("allowed_origins", "fetch_allow", "webhook_retry_s", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())
        return value

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
        if self.database_url and not self.secret_key:
            raise ValueError(
                "CONTEXT_DATABASE_URL is set: set CONTEXT_SECRET_KEY too "
                "(a long random string, the same on every replica)"
            )
        return self
