# One image for both services; the command says which one runs, and whether it serves or migrates:
#   docker run parley                          auth
#   docker run parley chat_service serve       chat
#   docker run parley auth_service migrate     auth's migrations
ARG PYTHON_IMAGE=python:3.12-slim

# What is installed: wheels alone, each with its hash, so that no compiler is needed here either.
FROM ${PYTHON_IMAGE} AS build
COPY requirements/service.txt /tmp/requirements.txt
RUN python -m venv --without-pip /opt/venv \
    && python -m pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check \
        --only-binary :all: --require-hashes --requirement /tmp/requirements.txt
COPY protos /opt/parley/protos
COPY shared /opt/parley/shared
COPY auth_service /opt/parley/auth_service
COPY chat_service /opt/parley/chat_service
# The root file system is read-only when it runs, so the bytecode is made now.
RUN /opt/venv/bin/python -m compileall -q /opt/parley /opt/venv

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="Parley" org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 parley \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin parley
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/parley /opt/parley
WORKDIR /opt/parley
# A container's other half is elsewhere: it listens on all of its own addresses, and what is published is decided there.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    APP_ENV=production \
    AUTH_HOST=0.0.0.0 AUTH_OPS_HOST=0.0.0.0 \
    CHAT_HOST=0.0.0.0 CHAT_OPS_HOST=0.0.0.0
USER 10001:10001
EXPOSE 50051 50052 9101 9102
ENTRYPOINT ["python", "-m"]
CMD ["auth_service", "serve"]
