"""The chart, rendered by the real helm: what an API server would get."""

from __future__ import annotations

import itertools
import re
from typing import Any

import kubernetes_validate
import pytest
import yaml

import qdrant_operator
from qdrant_operator import settings
from qdrant_operator.api.kinds import CLUSTER
from qdrant_operator.domain.manifests.stateful_set import stateful_set
from tests.chart.helm import CHART, helm, of_kind, only, render
from tests.domain.clusters import desired

KUBERNETES = "1.36"
"""Release whose schemas the objects are compared with."""
NO_SCHEMA = ("CustomResourceDefinition", "PodMonitor", "ServiceMonitor")
"""CRDs meet a real API server in the contract suite; monitors belong to the Prometheus Operator."""
FULL = {
    "image": {"digest": f"sha256:{'a' * 64}", "pullSecrets": [{"name": "regcred"}]},
    "serviceAccount": {"annotations": {"example.com/role": "backup"}},
    "podLabels": {"team": "search"},
    "podAnnotations": {"example.com/a": "b"},
    "priorityClassName": "system-cluster-critical",
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"operator": "Exists"}],
    "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {}}
    ],
    "admissionPolicy": {"enabled": True, "imageRepositories": ["docker.io/qdrant/"]},
    "networkPolicy": {"enabled": True, "metricsClients": [{"podSelector": {}}]},
    "storageEndpoints": ["https://s3.example.org", "http://minio.*"],
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    "metrics": {
        "service": {"annotations": {"a": "b"}},
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "podMonitor": {"enabled": True},
    },
}
MATRIX = [
    {**base, "watchNamespaces": namespaces, "replicas": replicas}
    for base, namespaces, replicas in itertools.product(({}, FULL), ([], ["a", "b"]), (1, 2))
]


def container(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """The operator's container."""
    found: dict[str, Any] = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    return found


def environment(objects: list[dict[str, Any]]) -> dict[str, str]:
    """The environment of the container, as far as the chart gives values."""
    return {one["name"]: one["value"] for one in container(objects)["env"] if "value" in one}


def test_lint_strict() -> None:
    """`helm lint --strict` finds nothing to warn of."""
    done = helm("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("values", MATRIX, ids=str)
def test_objects_are_what_kubernetes_knows(values: dict[str, Any]) -> None:
    """Every rendered object has only fields that Kubernetes knows, of the right types."""
    for one in render(values):
        if one["kind"] not in NO_SCHEMA:
            kubernetes_validate.validate(one, KUBERNETES, strict=True)


@pytest.mark.parametrize("values", MATRIX, ids=str)
def test_names_are_unique(values: dict[str, Any]) -> None:
    """No two rendered objects have the same kind, namespace and name."""
    keys = [(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in render(values)]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("values", MATRIX, ids=str)
def test_pods_pass_the_restricted_standard(values: dict[str, Any]) -> None:
    """The operator's pod satisfies the restricted Pod Security Standard and cannot write its own image."""
    pod = only(render(values), "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 65532
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert all(set(volume) - {"name"} <= {"emptyDir"} for volume in pod["volumes"])
    for one in pod["containers"] + pod.get("initContainers", []):
        context = one["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"] is True
        assert not any("hostPort" in port for port in one["ports"])


def test_the_process_gets_the_settings_it_reads() -> None:
    """The environment of the pod, read by the operator's own code, says what the values say."""
    objects = render(
        {"watchNamespaces": ["b", "a"], "logLevel": "DEBUG", "image": {"repository": "r/q", "tag": "7"}}
    )
    read = settings.from_environment({**environment(objects), "POD_NAMESPACE": "ops"}, "0")
    assert read.namespaces == ("a", "b")
    assert read.log_level == "DEBUG"
    assert read.image == container(objects)["image"] == "r/q:7"
    assert read.port == container(objects)["ports"][0]["containerPort"]
    assert read.lease == "operator-qdrant-operator"
    assert read.pods is not None
    assert read.pods.namespace == "ops"
    assert read.pods.labels == only(objects, "Deployment")["spec"]["selector"]["matchLabels"]
    assert container(objects)["args"] == ["run"]


@pytest.mark.parametrize("labels", ["app", "=x", "a=b,c"])
def test_labels_that_are_none_are_refused_by_name(labels: str) -> None:
    """An operator that misread its own labels would lock itself out of its clusters."""
    with pytest.raises(ValueError, match="QDRANT_OPERATOR_POD_LABELS"):
        settings.from_environment({"POD_NAMESPACE": "ops", "QDRANT_OPERATOR_POD_LABELS": labels}, "0")


def test_outside_a_pod_there_are_no_pods_to_let_in() -> None:
    """Without POD_NAMESPACE the process runs outside; without labels every pod of the namespace is the operator's."""
    assert settings.from_environment({}, "0").pods is None
    inside = settings.from_environment({"POD_NAMESPACE": "ops"}, "0").pods
    assert inside is not None
    assert (inside.namespace, inside.labels) == ("ops", {})


def test_every_variable_is_read() -> None:
    """The chart sets no variable that the operator does not read."""
    read: set[str] = set()

    class Recorder(dict[str, str]):
        def get(self, key: str, default: Any = None) -> Any:
            read.add(key)
            return super().get(key, default)

    settings.from_environment(Recorder(), "0")
    assert {one["name"] for one in container(render())["env"]} <= read


def test_namespaced_install_has_no_cluster_role() -> None:
    """With watchNamespaces nothing cluster-wide is granted; without it one ClusterRole is bound."""
    namespaced = render({"watchNamespaces": ["a", "b"], "crds": {"enabled": False}})
    assert not of_kind(namespaced, "ClusterRole")
    assert not of_kind(namespaced, "ClusterRoleBinding")
    assert {one["metadata"]["namespace"] for one in of_kind(namespaced, "Role")} == {"a", "b", "ops"}
    assert all(one["metadata"].get("namespace") for one in namespaced)
    assert len(of_kind(render(), "ClusterRoleBinding")) == 1


def test_disruption_budget_only_where_it_lets_a_pod_go() -> None:
    """One replica has no budget, two have one: a drain of a node is never stuck."""
    assert not of_kind(render({"replicas": 1}), "PodDisruptionBudget")
    assert only(render({"replicas": 2}), "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_policies_are_asked_for() -> None:
    """Neither admission nor the network is touched unless the values say so."""
    kinds = {one["kind"] for one in render()}
    asked = {
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "NetworkPolicy",
    }
    assert not asked & kinds
    values = {"admissionPolicy": {"enabled": True}, "networkPolicy": {"enabled": True}}
    assert asked <= {one["kind"] for one in render(values)}


def test_only_the_listed_clients_reach_the_metrics() -> None:
    """Nobody where none is listed; the policy selects the operator's pods."""
    clients = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    some = only(render({"networkPolicy": {"enabled": True, "metricsClients": clients}}), "NetworkPolicy")
    none = only(render({"networkPolicy": {"enabled": True}}), "NetworkPolicy")
    assert some["spec"]["ingress"] == [{"from": clients, "ports": [{"port": "http", "protocol": "TCP"}]}]
    assert none["spec"]["ingress"] == []
    labels = only(render(), "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert none["spec"]["podSelector"]["matchLabels"].items() <= labels.items()


def test_any_image_where_none_is_listed() -> None:
    """Without a list there is no rule about images; with one it names the list and where it is kept."""

    def rules(**values: Any) -> list[str]:
        objects = render({"admissionPolicy": {"enabled": True, **values}})
        validations = of_kind(objects, "ValidatingAdmissionPolicy")[0]["spec"]["validations"]
        return [one["message"] for one in validations if one["message"].startswith("spec.image.repository")]

    assert rules() == []
    (message,) = rules(imageRepositories=["docker.io/qdrant/qdrant"])
    assert "docker.io/qdrant/qdrant" in message
    assert "admissionPolicy.imageRepositories" in message


def test_the_oldest_kubernetes_has_what_the_pods_need() -> None:
    """Pods pause before they stop with `preStop.sleep`, which Kubernetes has by default since 1.30."""
    assert (
        "sleep"
        in stateful_set(desired())["spec"]["template"]["spec"]["containers"][0]["lifecycle"]["preStop"]
    )
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["kubeVersion"] == ">=1.30.0-0"
    refused = helm("template", "x", str(CHART), "--kube-version", "1.29.9")
    assert refused.returncode != 0
    assert helm("template", "x", str(CHART), "--kube-version", "1.30.0").returncode == 0


def test_crds_stay_when_the_release_goes() -> None:
    """Every CRD is kept at uninstall, and none is rendered when they are managed elsewhere."""
    crds = of_kind(render(), "CustomResourceDefinition")
    assert {one["spec"]["names"]["kind"] for one in crds} == {
        "QdrantCluster", "QdrantCollection", "QdrantSnapshot", "QdrantSnapshotSchedule",
    }  # fmt: skip
    assert all(one["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep" for one in crds)
    assert not of_kind(render({"crds": {"enabled": False}}), "CustomResourceDefinition")


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"replica": 3}, "replica"),
        ({"replicas": 0}, "replicas"),
        ({"logLevel": "LOUD"}, "logLevel"),
        ({"watchNamespaces": ["Not_A_Name"]}, "watchNamespaces"),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"admissionPolicy": {"enabled": True, "imageRepositories": ["x'] == ['x"]}}, "imageRepositories"),
        ({"metrics": {"service": {"enabled": False}, "serviceMonitor": {"enabled": True}}}, "serviceMonitor"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_values_are_refused_by_name(values: dict[str, Any], word: str) -> None:
    """A value that cannot work is refused before anything is installed, and the message names it."""
    with pytest.raises(ValueError, match=word):
        render(values)


def test_selectors_select_the_pods() -> None:
    """Deployment, budget, Service and monitors all select the operator's pods."""
    objects = render(FULL)
    labels = only(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    wanted = [
        only(objects, "Deployment")["spec"]["selector"]["matchLabels"],
        only(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        only(objects, "Service")["spec"]["selector"],
        only(objects, "PodMonitor")["spec"]["selector"]["matchLabels"],
    ]
    assert all(selector and selector.items() <= labels.items() for selector in wanted)
    service = only(objects, "Service")["metadata"]["labels"]
    assert only(objects, "ServiceMonitor")["spec"]["selector"]["matchLabels"].items() <= service.items()


def test_versions_agree() -> None:
    """Chart and appVersion are the package's version."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == qdrant_operator.__version__


def test_notes_show_a_cluster_that_works() -> None:
    """The manifest in the notes after an install is a valid QdrantCluster."""
    notes = (CHART / "templates" / "NOTES.txt").read_text()
    found = re.search(r"<<YAML\n(.*?)\n  YAML", notes, re.DOTALL)
    assert found
    manifest = yaml.safe_load(found[1])
    assert manifest["kind"] == CLUSTER.kind
    assert CLUSTER.spec.model_validate(manifest["spec"], extra="forbid").manifest()


def test_readme_lists_every_value() -> None:
    """The chart's README has a row for each top-level value and no other."""
    rows = set(re.findall(r"^\| `(\w+)", (CHART / "README.md").read_text(), re.MULTILINE))
    assert rows == set(yaml.safe_load((CHART / "values.yaml").read_text()))
