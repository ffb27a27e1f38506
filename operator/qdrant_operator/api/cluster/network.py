"""Which clients reach a cluster's peers: the NetworkPolicy of a QdrantCluster.

No I/O here. A client has the fields of Kubernetes' NetworkPolicyPeer, with the same meaning.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from qdrant_operator.api.base import Model, rule, rules
from qdrant_operator.api.cluster.pods import LabelSelector

_BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = f"({_BYTE}[.]){{3}}{_BYTE}/(3[0-2]|[12]?[0-9])"
_IPV6 = "[0-9a-fA-F:]*:[0-9a-fA-F:.]*/(12[0-8]|1[01][0-9]|[1-9]?[0-9])"
_RANGE = rules(
    rule(
        f"self.matches('^({_IPV4}|{_IPV6})$')",
        "spec.networkPolicy.clients: ipBlock requires a range of addresses with a prefix length, for example "
        "10.0.0.0/8",
    )
)
_EXPRESSIONS = (
    "!has(self.{0}) || !has(self.{0}.matchExpressions) || self.{0}.matchExpressions.all(item, "
    "(item.operator in ['In', 'NotIn']) == (has(item.values) && item.values.size() > 0))"
)

Range = Annotated[str, Field(max_length=64, json_schema_extra=_RANGE)]
"""A range of addresses, for example 10.0.0.0/8 or 2001:db8::/32."""


class IPBlock(Model):
    """Addresses outside the Kubernetes cluster."""

    cidr: Range
    """The range that is allowed."""
    except_: Annotated[tuple[Range, ...], Field(alias="except", max_length=64)] = ()
    """Parts of the range that are not allowed."""


class NetworkClient(Model):
    """Pods or addresses that may connect to the cluster."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.podSelector) || has(self.namespaceSelector) || has(self.ipBlock)",
                "spec.networkPolicy.clients: an entry is empty; set podSelector, namespaceSelector or ipBlock",
            ),
            rule(
                "!has(self.ipBlock) || !(has(self.podSelector) || has(self.namespaceSelector))",
                "spec.networkPolicy.clients: ipBlock excludes podSelector and namespaceSelector; use two "
                "entries",
            ),
            *(
                rule(
                    _EXPRESSIONS.format(selector),
                    f"spec.networkPolicy.clients: a requirement of {selector} has invalid values; In and NotIn "
                    "require values, Exists and DoesNotExist allow none",
                )
                for selector in ("podSelector", "namespaceSelector")
            ),
        )
    )

    pod_selector: LabelSelector | None = None
    """Pods with these labels ({}: all) in the cluster's own namespace, or in those that namespaceSelector
    selects."""
    namespace_selector: LabelSelector | None = None
    """Namespaces with these labels ({}: all)."""
    ip_block: IPBlock | None = None
    """Addresses outside the Kubernetes cluster."""


class NetworkPolicy(Model):
    """Which clients reach the peers, if the network plugin enforces NetworkPolicies."""

    enabled: bool = True
    """True: a NetworkPolicy allows only the peers themselves on the peer port 6335."""
    clients: Annotated[tuple[NetworkClient, ...], Field(max_length=64)] | None = None
    """Clients of the API on 6333 and 6334. Absent: all clients, protected by the API key. A list, also an empty one,
    allows only its entries, in addition to the peers, the operator and the snapshot Jobs."""
