"""One table of all routes and who may use them; a route that is not in it does not start."""

from __future__ import annotations

from app.core.auth import (
    ADMIN,
    ANY_TOKEN,
    LEASE,
    PUBLIC,
    USER,
    USER_OR_ADMIN,
    USER_OR_JOB,
    USER_OR_JOB_STREAM,
    WORKER,
    Access,
)

ROUTES: dict[tuple[str, str], Access] = {
    ("GET", "/healthz"): PUBLIC,
    ("GET", "/readyz"): PUBLIC,
    ("GET", "/metrics"): PUBLIC,
    # users
    ("POST", "/v1/users"): ADMIN,
    ("GET", "/v1/users"): ADMIN,
    ("DELETE", "/v1/users/{user_id}"): ADMIN,
    ("GET", "/v1/me"): ANY_TOKEN,
    ("POST", "/v1/tokens"): USER_OR_ADMIN,
    ("GET", "/v1/tokens"): USER_OR_ADMIN,
    ("DELETE", "/v1/tokens/{token_id}"): USER_OR_ADMIN,
    # assets
    ("POST", "/v1/assets"): USER_OR_JOB_STREAM,
    ("POST", "/v1/assets/import"): USER_OR_JOB,
    ("POST", "/v1/assets/archive"): USER_OR_JOB,
    ("POST", "/v1/assets/uploads"): USER_OR_JOB,
    ("GET", "/v1/assets/{asset_id}/upload"): USER_OR_JOB,
    ("DELETE", "/v1/assets/{asset_id}/upload"): USER_OR_JOB,
    ("POST", "/v1/assets/{asset_id}/complete"): USER_OR_JOB,
    ("GET", "/v1/assets"): USER_OR_JOB,
    ("GET", "/v1/assets/{asset_id}"): USER_OR_JOB,
    ("PATCH", "/v1/assets/{asset_id}"): USER_OR_JOB,
    ("DELETE", "/v1/assets/{asset_id}"): USER_OR_JOB,
    ("GET", "/v1/assets/{asset_id}/content"): USER_OR_JOB,
    ("HEAD", "/v1/assets/{asset_id}/content"): USER_OR_JOB,
    ("PUT", "/v1/assets/{asset_id}/content"): USER_OR_JOB_STREAM,
    ("GET", "/v1/assets/{asset_id}/thumbnail"): USER_OR_JOB,
    ("GET", "/v1/assets/{asset_id}/url"): USER_OR_JOB,
    ("POST", "/v1/urls"): USER_OR_JOB,
    ("GET", "/v1/storage/assets/{key}"): USER_OR_JOB,
    ("GET", "/v1/storage/temp/{key}"): USER_OR_JOB,
    # temp
    ("POST", "/v1/temp"): USER_OR_JOB_STREAM,
    ("POST", "/v1/temp/uploads"): USER_OR_JOB,
    ("GET", "/v1/temp/{temp_id}"): USER_OR_JOB,
    ("DELETE", "/v1/temp/{temp_id}"): USER_OR_JOB,
    ("GET", "/v1/temp/{temp_id}/content"): USER_OR_JOB,
    # workflows
    ("POST", "/v1/workflows"): USER,
    ("GET", "/v1/workflows"): USER_OR_JOB,
    ("GET", "/v1/workflows/{workflow_id}"): USER_OR_JOB,
    ("PUT", "/v1/workflows/{workflow_id}"): USER,
    ("PATCH", "/v1/workflows/{workflow_id}"): USER,
    ("DELETE", "/v1/workflows/{workflow_id}"): USER,
    ("GET", "/v1/workflows/{workflow_id}/versions"): USER_OR_JOB,
    ("GET", "/v1/workflows/{workflow_id}/versions/{version}"): USER_OR_JOB,
    ("POST", "/v1/workflows/{workflow_id}/run"): USER_OR_JOB,
    # jobs
    ("POST", "/v1/jobs"): USER_OR_JOB,
    ("GET", "/v1/jobs"): USER_OR_JOB,
    ("GET", "/v1/jobs/{job_id}"): USER_OR_JOB,
    ("DELETE", "/v1/jobs/{job_id}"): USER,
    ("POST", "/v1/jobs/{job_id}/cancel"): USER_OR_JOB,
    ("POST", "/v1/jobs/{job_id}/retry"): USER,
    ("GET", "/v1/jobs/{job_id}/events"): USER_OR_JOB,
    ("GET", "/v1/jobs/{job_id}/nodes"): USER_OR_JOB,
    # leases
    ("POST", "/v1/jobs/{job_id}/events"): LEASE,
    ("POST", "/v1/jobs/{job_id}/heartbeat"): LEASE,
    ("POST", "/v1/jobs/{job_id}/release"): LEASE,
    # workers
    ("POST", "/v1/workers"): WORKER,
    ("GET", "/v1/workers"): WORKER,
    ("POST", "/v1/workers/{worker_id}/heartbeat"): WORKER,
    ("DELETE", "/v1/workers/{worker_id}"): WORKER,
    ("POST", "/v1/workers/{worker_id}/claim"): WORKER,
    # sockets
    ("POST", "/v1/ws/tickets"): USER,
}
