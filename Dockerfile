# The operator's image: a wheel (make image builds it) and its pinned dependencies on a slim Python.
# Nothing is compiled: every dependency comes as a wheel whose hash stands in constraints-runtime.txt.
ARG BASE_IMAGE=python:3.13-slim

FROM ${BASE_IMAGE} AS build
COPY constraints-runtime.txt /src/
RUN python -m venv /app \
    && /app/bin/pip install --no-cache-dir --disable-pip-version-check --no-compile --only-binary :all: \
        --require-hashes -r /src/constraints-runtime.txt
COPY dist/qdrant_operator-*.whl /src/
# Byte code is written here, because nothing can be written where the image runs (not for the Kubernetes client's
# models, 50 MB that the operator does not import). pip stays behind.
RUN /app/bin/pip install --no-cache-dir --disable-pip-version-check --no-compile --no-deps /src/*.whl \
    && /app/bin/pip uninstall --yes --quiet pip \
    && python -m compileall -q -j 0 -x '/kubernetes/.*/models/' /app/lib

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
