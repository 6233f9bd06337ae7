# registry-bot in a container:
#
#   docker build -t registry-bot .
#   docker run --init --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
#     -v ./registry-bot.toml:/etc/registry-bot/registry-bot.toml:ro \
#     -v registry-bot:/var/lib/registry-bot --env-file secrets.env registry-bot
#
# It needs no root, no capability, and writes nowhere but to /var/lib/registry-bot (the database, the
# logs and locks of collections) and /tmp. Commands of
# [registries.gc] run inside: add what they need, such as an ssh client, in an image FROM this one.
# `--init` ends what a collection may leave behind. To reach /metrics or Slack's events from outside,
# set listen = "0.0.0.0:8080" and publish the port; with another port set HEALTH_URL too.

FROM python:3.12-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements.lock ./
# Everything comes from here, and everything here has been compared with the hashes of the lock.
RUN pip wheel --require-hashes --no-deps --wheel-dir /wheels -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY bot ./bot
RUN pip install --no-index --find-links /wheels hatchling editables \
 && pip wheel --no-deps --no-index --no-build-isolation --wheel-dir /wheels .
# The lock also has the tools of development: only what the bot itself asks for is installed.
RUN python -m venv /opt/registry-bot \
 && /opt/registry-bot/bin/pip install --no-index --find-links /wheels "registry-bot[postgres]"

FROM python:3.12-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/registry-bot --create-home registry-bot
COPY --from=build /opt/registry-bot /opt/registry-bot
ENV PATH=/opt/registry-bot/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    REGISTRY_BOT_CONFIG=/etc/registry-bot/registry-bot.toml \
    HEALTH_URL=http://127.0.0.1:8080/healthz
# A relative sqlite:///registry-bot.db ends up here, on the volume.
WORKDIR /var/lib/registry-bot
VOLUME /var/lib/registry-bot
USER 10001
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["python", "-c", \
  "import os, urllib.request; urllib.request.urlopen(os.environ['HEALTH_URL'], timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["registry-bot"]
CMD ["serve"]
