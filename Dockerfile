# Build: the dependencies, in an environment that the final image copies. Compilers stay here.
FROM python:3.13-slim AS build

RUN python -m venv /opt/venv
COPY requirements.lock .
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock

FROM python:3.13-slim

# A container's own disk is gone with it: mount a volume and set SPOOL_DIR to use a spool there.
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 SPOOL_DIR=
WORKDIR /srv

COPY --from=build /opt/venv /opt/venv
COPY alembic.ini plans.toml ./
COPY alembic ./alembic
COPY app ./app
RUN useradd --system --uid 10001 service && mkdir -p var/spool && chown -R service var
USER 10001

EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]

# Replicas that start together migrate one after the other: a lock in the database sees to it. While the database is
# down the server starts all the same, and puts events into the spool; /readyz says so, and says when to migrate.
CMD ["sh", "-c", "python -m app migrate; exec python -m app serve --host 0.0.0.0 --port 8000"]
