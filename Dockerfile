# One image for setup, code server, webserver and daemon; docker-compose.yml gives each its command.
# Every Python package is checked against the hashes in the lock files, build tools included.

ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1
WORKDIR /build
COPY requirements-bootstrap.lock requirements.lock pyproject.toml ./
RUN python -m venv /opt/tools \
    && /opt/tools/bin/pip install --no-cache-dir --require-hashes -r requirements-bootstrap.lock \
    && python -m venv --without-pip /opt/venv
# pyproject.toml names what is needed at run time, the lock pins it: the image holds no test or lint tools.
# EXTRAS="--extra celery" or "--extra kubernetes" adds a run launcher: docs/scaling.md.
ARG EXTRAS=""
RUN /opt/tools/bin/uv pip install --python /opt/venv/bin/python --require-hashes \
        --constraints requirements.lock -r pyproject.toml ${EXTRAS}
COPY README.md ./
COPY market_assets ./market_assets
COPY quality ./quality
COPY lineage ./lineage
RUN /opt/tools/bin/uv build --wheel --require-hashes --build-constraints requirements.lock --out-dir dist . \
    && /opt/tools/bin/uv pip install --python /opt/venv/bin/python --no-deps dist/*.whl

FROM python:${PYTHON_VERSION}-slim-bookworm AS runtime
# HOME is on the volume, because the root file system is read-only and libraries keep small files there.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DAGSTER_HOME=/opt/market \
    MARKET_HOME=/var/lib/market \
    HOME=/var/lib/market
RUN groupadd --gid 10001 market \
    && useradd --uid 10001 --gid market --no-create-home --home-dir /var/lib/market --shell /usr/sbin/nologin market \
    && install --directory --owner=market --group=market --mode=0750 /var/lib/market
COPY --from=build /opt/venv /opt/venv
WORKDIR /opt/market
COPY dagster.yaml ./
COPY deploy/workspace.yaml ./workspace.yaml
COPY config ./config
COPY dbt ./dbt
USER 10001:10001
EXPOSE 3000 4000
CMD ["dagster", "api", "grpc", "-h", "0.0.0.0", "-p", "4000", "-m", "market_assets.definitions"]
