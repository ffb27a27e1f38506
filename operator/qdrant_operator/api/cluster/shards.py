"""How a cluster's shards are placed and moved (spec.shards).

No I/O here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from qdrant_operator.api.base import LIST_SET, Model, rule, rules

_DURATION = rules(
    rule(
        "self.matches('^([0-9]{1,4}h)?([0-9]{1,4}m)?([0-9]{1,5}s)?$') && size(self) > 1",
        "spec.shards: a duration has hours, minutes and seconds in this order; for example 30m or 1h30m",
    )
)
Duration = Annotated[str, Field(max_length=20, json_schema_extra=_DURATION)]
"""A duration in the format of Go, for example 30m."""


class Transfers(Model):
    """How shards are copied between peers."""

    per_cluster: Annotated[int, Field(ge=1, le=32)] = 2
    """Maximum number of concurrent transfers in the cluster."""
    per_peer: Annotated[int, Field(ge=1, le=8)] = 1
    """Maximum number of concurrent transfers to one peer, and from one peer."""
    method: Literal["snapshot", "stream_records", "wal_delta"] = "snapshot"
    """How Qdrant copies a shard. snapshot keeps the index and affects applications least."""


class Window(Model):
    """When shards may be moved to balance the peers. Repair, draining and replication do not wait for it."""

    schedule: Annotated[str, Field(min_length=1, max_length=100)]
    """When the window opens: a cron expression, for example "0 1 * * *"."""
    duration: Duration
    """How long it stays open, for example 4h."""
    time_zone: Annotated[str, Field(min_length=1, max_length=64)] = "Etc/UTC"
    """Time zone of the schedule, for example Europe/Paris."""


class Shards(Model):
    """Placement and transfers of replicas."""

    placement: Literal["Auto", "DrainOnly", "Manual"] = "Auto"
    """Auto: repair, drain, replicate and balance. DrainOnly: all except balancing. Manual: nothing moves."""
    zone_key: Annotated[str, Field(max_length=316)] | None = None
    """Label of the pods with their zone, for example topology.kubernetes.io/zone (Kubernetes 1.35 copies it from the
    node). Absent: zones are ignored."""
    transfers: Transfers = Field(default_factory=Transfers)
    """How shards are copied between peers."""
    window: Window | None = None
    """When shards may be moved to balance the peers. Absent: always."""
    replace_lost_peer_after: Duration | None = None
    """After this time a peer whose volume is lost is removed by force, if every shard of it has another sound
    replica. Absent: only peers named in replaceLostPeers."""
    replace_lost_peers: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...], Field(max_length=100, json_schema_extra=LIST_SET)
    ] = ()
    """Ids of peers whose volume is lost and that may be removed by force, if every shard of them has another
    sound replica. status.blocked shows the ids."""
