"""A QdrantCluster's spec and everything else that its objects are built from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network

from qdrant_operator.api import ClusterSpec
from qdrant_operator.api.cluster.network import NetworkClient
from qdrant_operator.domain.cluster.observed import Disruptions
from qdrant_operator.domain.common.errors import Refused


@dataclass(frozen=True, slots=True)
class Credentials:
    """The keys of a cluster, as values: they go into Secrets and hashes only."""

    api_key: str | None = field(repr=False)
    """Key with full access; None when auth is disabled."""
    read_only: str | None = field(default=None, repr=False)
    """Key with read access; None where the spec names none."""
    read_only_hash: str = field(default="", repr=False)
    revision: int = 0
    """How often the key was exchanged before the cluster was complete."""


@dataclass(frozen=True, slots=True)
class OperatorPods:
    """Namespace and labels of the operator's pods: a NetworkPolicy must allow them."""

    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that all of them have; none: every pod of the namespace counts."""


@dataclass(frozen=True, slots=True)
class DesiredCluster:
    """What the objects of one cluster are built from."""

    name: str
    namespace: str
    uid: str
    spec: ClusterSpec
    credentials: Credentials
    pod_count: int
    """Replicas of the StatefulSet now; follows spec.replicas as far as that is safe."""
    version: str
    """Release to run now; follows spec.version as far as the hop is legal."""
    digest: str = ""
    """Digest of that release's image; empty: its tag alone names it."""
    first_pod: str = ""
    """The only pod that may start a cluster alone; empty once a cluster exists."""
    operator: OperatorPods | None = None
    """The operator's pods; None: it runs outside the Kubernetes cluster."""
    disruptions: Disruptions = field(default_factory=Disruptions)
    """What node drains may evict now."""
    allowed_downgrade: str = ""
    """Release to which the user allows a downgrade; empty: none."""

    @property
    def allows_downgrade(self) -> bool:
        """Whether the release that is wanted may run, whatever ran before."""
        return self.allowed_downgrade == self.spec.version

    @property
    def image(self) -> str:
        """Image of the peers."""
        tagged = f"{self.spec.image.repository}:{self.version}"
        return f"{tagged}@{self.digest}" if self.digest else tagged


def check_clients(clients: Sequence[NetworkClient]) -> None:
    """Refuse address ranges that Kubernetes would not accept in a NetworkPolicy.

    Raises:
        Refused: `InvalidSpec`, naming the field and what is wrong.
    """
    for number, client in enumerate(clients):
        if client.ip_block is None:
            continue
        where = f"spec.networkPolicy.clients[{number}].ipBlock"
        whole = _network(client.ip_block.cidr, f"{where}.cidr")
        for index, text in enumerate(client.ip_block.except_):
            part = _network(text, f"{where}.except[{index}]")
            if not _is_part(part, whole):
                raise Refused(
                    "InvalidSpec", f"{where}.except[{index}]: {part} is no part of {whole}; take it out"
                )


def _network(text: str, where: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise Refused("InvalidSpec", f"{where}: {error}; write a range as 10.0.0.0/8") from error


def _is_part(part: IPv4Network | IPv6Network, whole: IPv4Network | IPv6Network) -> bool:
    if part.version != whole.version or part.prefixlen <= whole.prefixlen:
        return False
    return part.supernet(new_prefix=whole.prefixlen) == whole
