# Two stages: wheels are built where there is a compiler's worth of tools, the image that runs has none of them.
FROM python:3.11-slim AS build
WORKDIR /build
COPY requirements-base.txt ./
RUN python -m venv /opt/evenkeel \
 && /opt/evenkeel/bin/pip install --no-cache-dir --disable-pip-version-check -r requirements-base.txt
COPY pyproject.toml README.md LICENSE ./
COPY config ./config
COPY models ./models
COPY src ./src
RUN /opt/evenkeel/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps .

FROM python:3.11-slim
RUN useradd --uid 10001 --user-group --home-dir /srv/evenkeel --shell /usr/sbin/nologin evenkeel \
 && install --directory --owner evenkeel --group evenkeel \
    /srv/evenkeel /srv/evenkeel/state /srv/evenkeel/logs /srv/evenkeel/data
COPY --from=build /opt/evenkeel /opt/evenkeel
ENV PATH=/opt/evenkeel/bin:$PATH \
    EVENKEEL_HOME=/srv/evenkeel \
    NUMBA_CACHE_DIR=/srv/evenkeel/data/compiled \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER evenkeel
WORKDIR /srv/evenkeel
# The root may be read-only: only these three are written to.
VOLUME ["/srv/evenkeel/state", "/srv/evenkeel/logs", "/srv/evenkeel/data"]
STOPSIGNAL SIGTERM
# Healthy = slots make progress, not merely: the process lives.
HEALTHCHECK --interval=60s --timeout=10s --start-period=120s --retries=3 CMD ["evenkeel", "status", "--check"]
ENTRYPOINT ["evenkeel"]
CMD ["run"]
