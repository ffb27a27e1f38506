# The operator's image: a wheel (make image builds it) and its pinned dependencies on a slim Python.
# Nothing is compiled or resolved: every dependency comes as a wheel whose hash is in constraints-runtime.txt, the whole
# list; `pip check` shows that nothing is missing.
ARG BASE_IMAGE=python:3.13-slim

FROM ${BASE_IMAGE} AS build
RUN command -v strip || (apt-get update -q && apt-get install -qy --no-install-recommends binutils)
COPY constraints-runtime.txt /src/
RUN python -m venv /app \
    && /app/bin/pip install --no-cache-dir --disable-pip-version-check --no-compile --no-deps --only-binary :all: \
        --require-hashes -r /src/constraints-runtime.txt
COPY dist/qdrant_operator-*.whl /src/
# Byte code is written here, because the image's file system is read-only where it runs. Installed packages stay as their
# wheels have them, but for symbols that only debuggers read (25 MB); docs/design/0010 says why the Kubernetes client is
# not among them. pip stays behind.
RUN /app/bin/pip install --no-cache-dir --disable-pip-version-check --no-compile --no-deps /src/*.whl \
    && /app/bin/pip check \
    && /app/bin/pip uninstall --yes --quiet pip \
    && find /app/lib -name '*.so' -exec strip --strip-unneeded {} + \
    && python -m compileall -q -j 0 /app/lib

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="qdrant-operator" \
      org.opencontainers.image.description="Runs Qdrant clusters, collections and backups on Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /tmp
EXPOSE 8080
ENTRYPOINT ["qdrant-operator"]
CMD ["run"]
