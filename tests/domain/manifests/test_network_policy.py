"""Who reaches which port of the peers, by the rules of NetworkPolicies."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import Any

import pytest

from qdrant_operator.api import ClusterSpec
from qdrant_operator.domain.cluster.wanted.desired import OperatorPods, check_clients
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.common.kinds import Manifest
from qdrant_operator.domain.manifests.diff import differences
from qdrant_operator.domain.manifests.jobs import snapshot_labels
from qdrant_operator.domain.manifests.network_policy import network_policy, operator_pods
from qdrant_operator.domain.manifests.stateful_set import pod_template, template_hash
from tests.domain.clusters import desired

CHART = {"app.kubernetes.io/name": "qdrant-operator", "app.kubernetes.io/instance": "release"}
OPERATOR = OperatorPods("ops", CHART)
Source = tuple[str, dict[str, str]]
"""Namespace and labels of a pod."""
PEER: Source = ("default", pod_template(desired())["metadata"]["labels"])
JOB: Source = ("default", snapshot_labels("vectors", "nightly"))
OPERATOR_POD: Source = ("ops", {**CHART, "pod-template-hash": "abc"})
SHOP: Source = ("default", {"app": "shop"})
NEIGHBOUR: Source = ("default", {**PEER[1], names.LABEL_INSTANCE: "other", names.LABEL_CLUSTER: "other"})
NEIGHBOURS_JOB: Source = ("default", snapshot_labels("other", "nightly"))
ELSEWHERE: Source = ("elsewhere", PEER[1])
STRANGERS = (SHOP, NEIGHBOUR, NEIGHBOURS_JOB, ELSEWHERE, ("elsewhere", CHART), ("ops", {"app": "shop"}))


def policy(operator: OperatorPods | None = OPERATOR, **spec: Any) -> Manifest:
    """The policy of a cluster with this spec.networkPolicy."""
    return network_policy(replace(desired(networkPolicy=spec), operator=operator))


def ports(wanted: Manifest, source: Source | str) -> set[int]:
    """Ports that a pod, or an address outside, reaches."""
    return {
        port["port"]
        for rule in wanted["spec"]["ingress"]
        if not rule.get("from") or any(_is_meant(peer, source) for peer in rule["from"])
        for port in rule["ports"]
    }


def _is_meant(peer: Manifest, source: Source | str) -> bool:
    if isinstance(source, str):
        block = peer.get("ipBlock") or {"cidr": "0.0.0.0/32"}
        inside = [ipaddress.ip_address(source) in ipaddress.ip_network(block["cidr"])]
        return all(inside) and not any(
            ipaddress.ip_address(source) in ipaddress.ip_network(one) for one in block.get("except", ())
        )
    namespace, labels = source
    spaces, pods = peer.get("namespaceSelector"), peer.get("podSelector")
    there = (
        namespace == "default"
        if spaces is None
        else _fits(spaces, {"kubernetes.io/metadata.name": namespace})
    )
    return "ipBlock" not in peer and there and (pods is None or _fits(pods, labels))


def _fits(selector: Manifest, labels: dict[str, str]) -> bool:
    """Labels that must all be there; these tests use no requirements."""
    assert set(selector) <= {"matchLabels"}
    wanted: dict[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()


def test_it_is_about_the_peers_and_nobody_else() -> None:
    """It selects the peers' pods, not those of the Jobs; what they send themselves stays free."""
    spec = policy()["spec"]
    assert _fits(spec["podSelector"], PEER[1])
    assert not _fits(spec["podSelector"], JOB[1])
    assert not _fits(spec["podSelector"], NEIGHBOUR[1])
    assert spec["policyTypes"] == ["Ingress"]


@pytest.mark.parametrize("spec", [{}, {"clients": []}, {"clients": [{"podSelector": {}}]}], ids=str)
def test_the_peer_port_is_for_peers_alone(spec: dict[str, Any]) -> None:
    """Whatever the clients: nobody but the cluster's own pods reaches 6335, and these reach every port."""
    assert ports(policy(**spec), PEER) == {6333, 6334, 6335}
    assert all(6335 not in ports(policy(**spec), one) for one in (*STRANGERS, JOB, OPERATOR_POD, "10.0.0.1"))


def test_without_a_list_everybody_may_ask() -> None:
    """The API key decides, inside and outside of the Kubernetes cluster."""
    assert all(ports(policy(), one) == {6333, 6334} for one in (*STRANGERS, JOB, OPERATOR_POD, "10.0.0.1"))


def test_an_empty_list_is_nobody_but_ours() -> None:
    """The operator and the snapshot Jobs go on; nobody else gets in, whatever a pod calls itself elsewhere."""
    closed = policy(clients=[])
    assert all(ports(closed, one) == {6333, 6334} for one in (JOB, OPERATOR_POD))
    assert all(ports(closed, one) == set() for one in (*STRANGERS, "10.0.0.1"))


def test_who_is_listed_gets_in() -> None:
    """Pods of the namespace, of other namespaces, and addresses, each as Kubernetes means it."""
    elsewhere = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "elsewhere"}}}
    block = {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}
    opened = policy(clients=[{"podSelector": {"matchLabels": SHOP[1]}}, elsewhere, block])
    assert all(ports(opened, one) == {6333, 6334} for one in (SHOP, ELSEWHERE, "10.2.0.1", OPERATOR_POD, JOB))
    assert all(ports(opened, one) == set() for one in (NEIGHBOUR, ("ops", SHOP[1]), "10.1.0.1", "11.0.0.1"))


def test_an_operator_that_does_not_know_its_labels_lets_its_namespace_in() -> None:
    """It does not lock itself out where it was installed without the chart."""
    opened = policy(OperatorPods("ops"), clients=[])
    assert ports(opened, ("ops", {})) == {6333, 6334}
    assert ports(opened, ("elsewhere", {})) == set()


def test_an_operator_outside_adds_nobody() -> None:
    """From a laptop the operator has no pod: only peers and Jobs are named."""
    outside = policy(None, clients=[])
    assert [ports(outside, one) for one in (PEER, JOB, OPERATOR_POD)] == [
        {6333, 6334, 6335},
        {6333, 6334},
        set(),
    ]


@pytest.mark.parametrize("operator", [OPERATOR, OperatorPods("ops"), None])
def test_others_can_tell_who_the_operator_is(operator: OperatorPods | None) -> None:
    """A command that is not the operator reads it from the policy, and wants the same policy then."""
    live = policy(operator, clients=[])
    assert operator_pods(live) == operator
    assert policy(operator_pods(live), clients=[]) == live


@pytest.mark.parametrize(
    "told", ["", "{", "[]", "7", '{"namespace": "ops"}', '{"namespace": "a", "labels": 1}']
)
def test_a_damaged_note_tells_nothing(told: str) -> None:
    """Nor does a policy that is not there."""
    assert operator_pods({"metadata": {"annotations": {names.ANNOTATION_OPERATOR: told}}}) is None
    assert operator_pods(None) is None


def test_no_pod_restarts_for_it() -> None:
    """Neither its arrival nor a change of clients is part of the pods' template."""
    assert template_hash(desired(networkPolicy={"clients": []})) == template_hash(
        desired(networkPolicy={"enabled": False})
    )


@pytest.mark.parametrize(
    "edit",
    [
        lambda spec: spec["ingress"][1].pop("from"),
        lambda spec: spec["ingress"][1]["from"][0].update(namespaceSelector={}),
        lambda spec: spec["ingress"][0].update({"from": []}),
        lambda spec: spec["ingress"].append({}),
        lambda spec: spec["podSelector"].update(matchExpressions=[{"key": "a", "operator": "Exists"}]),
        lambda spec: spec["policyTypes"].append("Egress"),
    ],
)
def test_every_edit_of_its_rules_is_damage(edit: Any) -> None:
    """Also one that only adds: in a policy that opens or closes something."""
    live = policy()
    edit(live["spec"])
    assert differences(policy(), live)


def test_what_others_may_add_is_no_damage() -> None:
    """Annotations and labels of others stay, and the spec is equal to itself."""
    live = policy()
    live["metadata"]["annotations"] = {"theirs": "yes"}
    assert differences(policy(), live) == ()


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ({"cidr": "10.0.0.1/8"}, "clients[1].ipBlock.cidr: 10.0.0.1/8 has host bits set"),
        ({"cidr": "1::2::/64"}, "clients[1].ipBlock.cidr: "),
        ({"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}, "except[0]: 10.0.0.0/8 is no part of 10.0.0.0/8"),
        (
            {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "11.0.0.0/16"]},
            "except[1]: 11.0.0.0/16 is no part",
        ),
        ({"cidr": "10.0.0.0/8", "except": ["0.0.0.0/0"]}, "except[0]: 0.0.0.0/0 is no part"),
        ({"cidr": "10.0.0.0/8", "except": ["fd00::/16"]}, "except[0]: fd00::/16 is no part"),
    ],
)
def test_ranges_that_kubernetes_would_not_take_are_refused(block: dict[str, Any], said: str) -> None:
    """By the field's name, before Kubernetes refuses the whole policy in its own words."""
    spec = {"clients": [{"podSelector": {}}, {"ipBlock": block}]}
    parsed = ClusterSpec.model_validate({"version": "v1.19.0", "networkPolicy": spec})
    with pytest.raises(Refused) as refused:
        check_clients(parsed.network_policy.clients or ())
    assert refused.value.reason == "InvalidSpec"
    assert said in refused.value.message
    good = {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}
    fine = ClusterSpec.model_validate(
        {"version": "v1.19.0", "networkPolicy": {"clients": [{"ipBlock": good}, {"podSelector": {}}]}}
    )
    check_clients(fine.network_policy.clients or ())
