"""The user's request: a QdrantCluster's spec and its keys, as values. Nothing is decided here."""

from __future__ import annotations

from dataclasses import dataclass, field

from qdrant_operator.api import ClusterSpec
from qdrant_operator.domain.cluster.wanted.desired import Credentials, OperatorPods


@dataclass(frozen=True, slots=True)
class Keys:
    """The API keys in force, and the one that the spec names."""

    credentials: Credentials
    given: str | None = field(default=None, repr=False)
    """Key in the Secret that the spec names; None: the spec names none."""


NO_KEYS = Keys(Credentials(None))
"""Of a cluster without authentication, and of one that has not been observed yet."""


@dataclass(frozen=True, slots=True)
class ClusterRequest:
    """A QdrantCluster as it is read, with the keys that its spec refers to."""

    name: str
    namespace: str
    uid: str
    spec: ClusterSpec
    keys: Keys
    operator: OperatorPods | None = None
    """The operator's pods; None: it runs outside the Kubernetes cluster."""
    allowed_downgrade: str = ""
    """Release to which the user allows a downgrade by annotation; empty: none."""
