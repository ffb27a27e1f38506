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
# Byte code is written here, because nothing can be written where the image runs. What no process of ours loads stays
# behind: pip, the Kubernetes client's generated calls and models (80 MB; its package imports them on first use), other
# packages' tests and C sources, and what their libraries hold for debuggers (25 MB).
RUN /app/bin/pip install --no-cache-dir --disable-pip-version-check --no-compile --no-deps /src/*.whl \
    && /app/bin/pip check \
    && /app/bin/pip uninstall --yes --quiet pip \
    && find /app/lib -path '*/kubernetes/*client/api/*.py' ! -name __init__.py -delete \
    && find /app/lib -path '*/kubernetes/*client/models/*.py' ! -name __init__.py -delete \
    && find /app/lib \( -name '*_test.py' -o -name 'test_*.py' -o -path '*/tests/*' -o -name '*.py[xi]' -o -name '*.pxd' \
        -o -name '*.[ch]' \) -type f -delete \
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
