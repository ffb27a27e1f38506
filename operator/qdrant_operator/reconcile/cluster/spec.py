"""A QdrantCluster's spec as a value: parsed and checked once for each text of it, not in every pass."""

from __future__ import annotations

import json
from datetime import datetime
from functools import lru_cache

from qdrant_operator.api import ClusterSpec
from qdrant_operator.domain.cluster.wanted.desired import check_clients
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.common.timing.schedules import next_due
from qdrant_operator.domain.manifests.owned_settings import (
    FREE_BYTES,
    check_config,
    check_environment,
    check_size,
)
from qdrant_operator.reconcile.ports import Manifest
from qdrant_operator.reconcile.spec import read_spec

REMEMBERED = 128
"""Number of cached specs, of about 200 KiB at most; the least recently used one is evicted first. The key is the text,
which changes with each generation and is the same for clusters with equal specs."""


def parse_spec(subject: Manifest, now: datetime) -> ClusterSpec:
    """The spec as a value.

    Raises:
        Refused: `InvalidSpec` (the schema was bypassed), `InvalidConfig`, `InvalidSchedule` (of the window).
    """
    try:
        text = json.dumps(subject["spec"], sort_keys=True)
    except RecursionError as error:
        raise Refused(
            "InvalidSpec", "spec is nested too deep; flatten spec.config or spec.podTemplate"
        ) from error
    spec = _parsed(text)
    if spec.shards.window:
        next_due(spec.shards.window.schedule, spec.shards.window.time_zone, now)
    return spec


@lru_cache(maxsize=REMEMBERED)
def _parsed(text: str) -> ClusterSpec:
    """Only accepted specs are cached: a refusal is repeated in each pass, and limits bound its cost."""
    given = json.loads(text)
    spec = read_spec(ClusterSpec, given)
    check_config(spec.config)
    check_environment(item.name for item in spec.pod_template.spec.env)
    shorten = "shorten annotations, variables or affinity"
    check_size(given.get("podTemplate"), "spec.podTemplate", "InvalidSpec", FREE_BYTES, shorten)
    check_clients(spec.network_policy.clients or ())
    return spec
