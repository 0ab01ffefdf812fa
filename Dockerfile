# The production image: API, worker and migrations, told apart by the command. No embedded servers.

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python -m venv /opt/smmos
ENV PATH=/opt/smmos/bin:$PATH
# Alone in its layer: it changes with the requirements, not with the code.
COPY requirements/base.txt requirements/base.txt
RUN pip install --require-hashes -r requirements/base.txt
COPY pyproject.toml README.md ./
COPY app app
COPY workers workers
COPY migrations migrations
RUN pip install --no-deps --no-build-isolation . \
    && python -m compileall -q /opt/smmos/lib

FROM python:3.11-slim-bookworm
# A fixed number, so that a cluster can demand a user other than root. The folder of files lends its
# owner and mode to the volume that is mounted on it.
RUN groupadd --gid 10001 smmos \
    && useradd --uid 10001 --gid smmos --no-create-home --home-dir /srv/smmos --shell /usr/sbin/nologin smmos \
    && install --directory --owner=10001 --group=10001 --mode=0700 /srv/smmos/files
COPY --from=build /opt/smmos /opt/smmos
WORKDIR /srv/smmos
ENV PATH=/opt/smmos/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SMMOS_ENVIRONMENT=production \
    SMMOS_HOST=0.0.0.0 \
    SMMOS_PORT=8000
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# Of the API; what runs another command from this image brings its own check or none.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['SMMOS_PORT'] + '/livez', timeout=2)"]
ENTRYPOINT ["smmos"]
CMD ["api"]
