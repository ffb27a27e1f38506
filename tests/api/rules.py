"""Every CEL rule and what it accepts and refuses, as data: the API server is asked in the contract suite."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.api.manifests import STORAGE, Manifest, least, manifest

CLUSTER, COLLECTION = "QdrantCluster", "QdrantCollection"
SCHEDULE, SNAPSHOT = "QdrantSnapshotSchedule", "QdrantSnapshot"
VECTOR = {"size": 4, "distance": "Dot"}


@dataclass(frozen=True, slots=True)
class Case:
    """One manifest, and what the API server shall say."""

    rule: str
    """The message of the rule that is shown to hold, or its beginning."""
    manifest: Manifest
    accepted: bool
    before: Manifest | None = None
    """For rules about changes: the object as it stood."""

    @property
    def kind(self) -> str:
        """Kind of the manifest."""
        return str(self.manifest["kind"])

    @property
    def refused(self) -> str | None:
        """What the answer must contain; None where the manifest is accepted."""
        return None if self.accepted else self.rule


def _named(kind: str, name: str) -> Manifest:
    return {**least(kind), "metadata": {"name": name}}


def _cluster(**spec: Any) -> Manifest:
    return least(CLUSTER, **spec)


def _labels(labels: dict[str, str]) -> Manifest:
    return _cluster(podTemplate={"metadata": {"labels": labels}})


def _env(name: str) -> Manifest:
    return _cluster(podTemplate={"spec": {"env": [{"name": name, "value": "1"}]}})


def _clients(*clients: Manifest) -> Manifest:
    return _cluster(networkPolicy={"clients": list(clients)})


def _block(cidr: str, *excepted: str) -> Manifest:
    return _clients({"ipBlock": {"cidr": cidr, "except": list(excepted)}})


def _required(selector: str, operator: str, **values: list[str]) -> Manifest:
    return _clients({selector: {"matchExpressions": [{"key": "tier", "operator": operator, **values}]}})


def _resources(request: int | str, limit: int | str) -> Manifest:
    return _cluster(resources={"requests": {"memory": request, "cpu": "1"}, "limits": {"memory": limit}})


def _vectors(**spec: Any) -> Manifest:
    return least(COLLECTION, **{"vectors": None, **spec})


def _index(**options: Any) -> Manifest:
    return least(COLLECTION, payloadIndexes=[{"field": "subject", **options}])


def _keyed(*keys: Any, method: str = "Custom") -> Manifest:
    return least(COLLECTION, sharding={"method": method, "keys": list(keys)})


def _key_peers(**peers: Any) -> Manifest:
    return _keyed({"key": "eu", "peers": peers})


def _sharded(method: str) -> Manifest:
    return least(COLLECTION, sharding={"method": method})


def _quantized(**methods: Any) -> Manifest:
    return least(COLLECTION, quantization=methods)


def _s3(**settings: Any) -> Manifest:
    return least(SNAPSHOT, storage={"s3": {**STORAGE["s3"], **settings}})


def _cron(expression: str) -> Manifest:
    return least(SCHEDULE, schedule=expression)


KEY = {"secretRef": {"name": "keys"}}

STATIC: dict[str, tuple[list[Manifest], list[Manifest]]] = {
    # QdrantCluster
    "metadata.name: at most 40 characters, because the names of pods": (
        [_named(CLUSTER, "a" * 40)],
        [_named(CLUSTER, "a" * 41)],
    ),
    "metadata.name: lower-case letters, digits and - only": (
        [_named(CLUSTER, "vectors-2")],
        [_named(CLUSTER, "my.vectors"), _named(CLUSTER, "2vectors")],
    ),
    "spec.version: write a Qdrant release in full": (
        [_cluster(version="v1.17.0")],
        [_cluster(version="1.19.0"), _cluster(version="v1.19"), _cluster(version="latest")],
    ),
    "spec.version: releases before v1.17.0 are not supported": (
        [_cluster(version="v1.17.1"), _cluster(version="v1.100.0"), _cluster(version="v2.0.0")],
        [_cluster(version="v1.16.9"), _cluster(version="v1.9.0"), _cluster(version="v0.20.0")],
    ),
    "spec.image.repository: leave tag and digest out": (
        [_cluster(image={"repository": "localhost:5000/qdrant"})],
        [
            _cluster(image={"repository": "qdrant/qdrant:v1.19.0"}),
            _cluster(image={"repository": "qdrant/qdrant@sha256:0123"}),
        ],
    ),
    "spec.resources: a request is larger than its limit": (
        [_resources("1Gi", "1024Mi"), _resources(100, "1Ki"), _cluster(resources={"requests": {"cpu": 4}})],
        [_resources("2Gi", "1Gi"), _resources("2Gi", 1024)],
    ),
    "spec.persistence.size: must be greater than 0": (
        [_cluster(persistence={"size": "1Mi"}), _cluster(persistence={"size": 1048576})],
        [_cluster(persistence={"size": "0"}), _cluster(persistence={"size": 0})],
    ),
    "spec.shards: a duration is hours, minutes": (
        [
            _cluster(shards={"replaceLostPeerAfter": "1h30m"}),
            _cluster(shards={"window": {"schedule": "0 1 * * *", "duration": "90s"}}),
        ],
        [
            _cluster(shards={"replaceLostPeerAfter": "30 minutes"}),
            _cluster(shards={"replaceLostPeerAfter": "m"}),
            _cluster(shards={"window": {"schedule": "0 1 * * *", "duration": ""}}),
        ],
    ),
    "spec.auth.disabled: excludes apiKey": (
        [_cluster(auth={"disabled": True}), _cluster(auth={"apiKey": KEY, "readOnlyApiKey": KEY})],
        [
            _cluster(auth={"disabled": True, "apiKey": KEY}),
            _cluster(auth={"disabled": True, "readOnlyApiKey": KEY}),
        ],
    ),
    "spec.podTemplate.metadata.labels: app.kubernetes.io/name": (
        [_labels({"team": "search"})],
        [_labels({"app.kubernetes.io/name": "mine"}), _labels({"qdrantoperator.dev/serving": "true"})],
    ),
    "spec.podTemplate.spec.env: variables that begin with QDRANT__": (
        [_env("RUST_LOG")],
        [_env("QDRANT__CLUSTER__ENABLED")],
    ),
    "spec.networkPolicy.clients: ipBlock takes a range": (
        [
            _block("0.0.0.0/0", "10.0.0.0/8", "192.168.255.0/24"),
            _block("::/0", "2001:db8::/32", "fd00:10:244::1/128"),
        ],
        [
            *(_block(text) for text in ("10.0.0.0", "10.0.0.0/33", "256.0.0.0/8", "fd00::/129", "any", "")),
            _block("10.0.0.0/8", "10.1.0.0"),
        ],
    ),
    "spec.networkPolicy.clients: an entry names nobody": (
        [_clients({"podSelector": {}}), _clients({"namespaceSelector": {}}), _clients()],
        [_clients({}), _clients({"podSelector": {}}, {})],
    ),
    "spec.networkPolicy.clients: ipBlock excludes": (
        [_clients({"podSelector": {}, "namespaceSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/8"}})],
        [
            _clients({"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}),
            _clients({"namespaceSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}),
        ],
    ),
    **{
        f"spec.networkPolicy.clients: a requirement of {selector}": (
            [
                _required(selector, "In", values=["a"]),
                _required(selector, "Exists"),
                _required(selector, "DoesNotExist", values=[]),
            ],
            [
                _required(selector, "NotIn"),
                _required(selector, "In", values=[]),
                _required(selector, "Exists", values=["a"]),
            ],
        )
        for selector in ("podSelector", "namespaceSelector")
    },
    # QdrantCollection
    "spec.aliases: an alias must differ": (
        [least(COLLECTION, name="docs", aliases=["subject"]), least(COLLECTION, aliases=["live"])],
        [least(COLLECTION, name="docs", aliases=["docs"]), least(COLLECTION, aliases=["subject"])],
    ),
    "spec.vectors: excludes spec.namedVectors": (
        [_vectors(namedVectors={"a": VECTOR})],
        [_vectors(vectors=VECTOR, namedVectors={"a": VECTOR})],
    ),
    "spec.vectors: a collection needs a vector": (
        [_vectors(sparseVectors={"bm25": {}})],
        [_vectors()],
    ),
    "spec.sparseVectors: a name stands in spec.namedVectors too": (
        [_vectors(namedVectors={"a": VECTOR}, sparseVectors={"b": {}})],
        [_vectors(namedVectors={"a": VECTOR}, sparseVectors={"a": {}})],
    ),
    "spec.namedVectors: a vector's name": (
        [_vectors(namedVectors={"x" * 200: VECTOR})],
        [
            _vectors(namedVectors={"": VECTOR}),
            _vectors(namedVectors={"é" * 101: VECTOR}),
            _vectors(namedVectors={"a/b": VECTOR}),
            _vectors(namedVectors={"a\\b": VECTOR}),
        ],
    ),
    "spec.sparseVectors: a vector's name": (
        [_vectors(sparseVectors={"bm25 of body": {}})],
        [_vectors(sparseVectors={"": {}}), _vectors(sparseVectors={"a?": {}})],
    ),
    "spec.writeConsistencyFactor: larger than spec.replicationFactor": (
        [
            least(COLLECTION, replicationFactor=2, writeConsistencyFactor=2),
            least(COLLECTION, writeConsistencyFactor=1),
        ],
        [
            least(COLLECTION, replicationFactor=2, writeConsistencyFactor=3),
            least(COLLECTION, writeConsistencyFactor=2),
        ],
    ),
    "spec.sharding.keys: only with method Custom": (
        [_keyed({"key": "eu"}), _keyed(method="Auto"), _sharded("Auto"), _sharded("Custom")],
        [_keyed({"key": "eu"}, method="Auto"), least(COLLECTION, sharding={"keys": [{"key": 1}]})],
    ),
    "spec.sharding.keys: a key stands there twice": (
        [_keyed({"key": 7}, {"key": "7"}, {"key": "seven"}), _keyed(*({"key": n} for n in range(256)))],
        [_keyed({"key": 7}, {"key": "eu"}, {"key": 7}), _keyed({"key": "eu"}, {"key": "eu", "shards": 2})],
    ),
    "spec.sharding.keys.peers: set exactly one of": (
        [_key_peers(zone="a"), _key_peers(pods=["vectors-0"])],
        [_key_peers(), _key_peers(zone="a", pods=["vectors-0"])],
    ),
    "quantization: set exactly one of": (
        [_quantized(binary={}), _quantized(scalar={}), _quantized(product={"compression": "x4"})],
        [
            _quantized(),
            _quantized(scalar={}, binary={}),
            least(COLLECTION, vectors={**VECTOR, "quantization": {}}),
        ],
    ),
    "spec.payloadIndexes: isTenant: only for": (
        [_index(type="keyword", isTenant=True), _index(type="uuid", isTenant=True)],
        [_index(type="integer", isTenant=True)],
    ),
    "spec.payloadIndexes: isPrincipal: only for": (
        [_index(type=type_, isPrincipal=True) for type_ in ("integer", "float", "datetime")],
        [_index(type="keyword", isPrincipal=False)],
    ),
    "spec.payloadIndexes: lookup, range: only for": (
        [_index(type="integer", lookup=True, range=False)],
        [_index(type="float", lookup=True), _index(type="float", range=True)],
    ),
    "spec.payloadIndexes: tokenizer, minTokenLen": (
        [_index(type="text", tokenizer="prefix", minTokenLen=1, maxTokenLen=9, lowercase=False)],
        [
            _index(type="keyword", **{option: value})
            for option, value in (
                ("tokenizer", "word"),
                ("minTokenLen", 1),
                ("maxTokenLen", 9),
                ("lowercase", True),
                ("phraseMatching", True),
            )
        ],
    ),
    "spec.payloadIndexes: lookup and range cannot both be false": (
        [_index(type="integer", lookup=False)],
        [_index(type="integer", lookup=False, range=False)],
    ),
    "spec.payloadIndexes: minTokenLen is larger": (
        [_index(type="text", minTokenLen=3, maxTokenLen=3)],
        [_index(type="text", minTokenLen=4, maxTokenLen=3)],
    ),
    # QdrantSnapshotSchedule
    "metadata.name: at most 40 characters, because snapshots": (
        [_named(SCHEDULE, "a" * 40)],
        [_named(SCHEDULE, "a" * 41)],
    ),
    "spec.schedule: not a cron expression": (
        [
            _cron(expression)
            for expression in (
                "*/15 * * * *",
                "0 2 * * 1-5",
                "0,30 8-18/2 1,15 * *",
                "0 0 L * *",
                "0 0 * JAN-MAR sun",
                "5 4 * * 7#2",
                "@daily",
            )
        ],
        [
            _cron(expression)
            for expression in (
                "61 * * * *",
                "* 24 * * *",
                "0 2 * *",
                "0 2 * * * *",
                "every night",
                "@reboot",
                "",
            )
        ],
    ),
    "spec.timeZone: Local is not a time zone": (
        [least(SCHEDULE, timeZone="America/Argentina/Buenos_Aires")],
        [least(SCHEDULE, timeZone="Local")],
    ),
    # QdrantSnapshot
    "metadata.name: at most 56 characters": (
        [_named(SNAPSHOT, "a" * 56)],
        [_named(SNAPSHOT, "a" * 57)],
    ),
    "spec.storage.s3.bucket: not a bucket's name": (
        [_s3(bucket="my-backups.eu")],
        [_s3(bucket="My_Backups"), _s3(bucket="ab"), _s3(bucket="backups/prod")],
    ),
    "spec.storage.s3.prefix: must not begin with /": (
        [_s3(prefix="prod/eu/"), _s3(prefix="")],
        [_s3(prefix="/prod"), _s3(prefix="a//b")],
    ),
    "spec.storage.s3.endpoint: not the URL of a service": (
        [_s3(endpoint="http://127.0.0.1:9000"), _s3(endpoint="https://s3.example.com/")],
        [_s3(endpoint="s3.example.com"), _s3(endpoint="https://key:secret@s3.example.com")],
    ),
}
"""Message of a rule → manifests that it accepts, manifests that it refuses."""


def _sized(size: int | str, **more: str) -> Manifest:
    return _cluster(persistence={"size": size, **more})


_SNAPSHOT = manifest(SNAPSHOT, {**least(SNAPSHOT)["spec"], "collections": ["a", "b"]})


def _snapshot(**changes: Any) -> Manifest:
    return {**_SNAPSHOT, "spec": {**_SNAPSHOT["spec"], **changes}}


CHANGES: dict[str, tuple[list[tuple[Manifest, Manifest]], list[tuple[Manifest, Manifest]]]] = {
    "spec.persistence.size: cannot be changed": (
        [(_sized("1Gi"), _sized("1024Mi")), (_cluster(), _sized("10Gi"))],
        [(_sized("1Gi"), _sized("2Gi")), (_sized("20Gi"), _cluster())],
    ),
    "spec.persistence.storageClassName: cannot be changed": (
        [(_sized("1Gi", storageClassName="fast"), _sized("1Gi", storageClassName="fast"))],
        [
            (_sized("1Gi", storageClassName="fast"), _sized("1Gi", storageClassName="slow")),
            (_sized("1Gi", storageClassName="fast"), _sized("1Gi")),
            (_sized("1Gi"), _sized("1Gi", storageClassName="fast")),
        ],
    ),
    "spec.clusterRef: cannot be changed": (
        [(least(COLLECTION), least(COLLECTION, shardNumber=2))],
        [(least(COLLECTION), least(COLLECTION, clusterRef={"name": "other"}))],
    ),
    "spec.name: cannot be changed": (
        [(least(COLLECTION), least(COLLECTION, name="subject"))],
        [
            (least(COLLECTION), least(COLLECTION, name="other")),
            (least(COLLECTION, name="docs"), least(COLLECTION)),
        ],
    ),
    "spec.sharding.method: cannot be changed": (
        [
            (_sharded("Custom"), _keyed({"key": "eu"})),
            (least(COLLECTION), _sharded("Auto")),
            (_sharded("Auto"), least(COLLECTION)),
        ],
        [(_sharded("Custom"), _sharded("Auto")), (_sharded("Auto"), _sharded("Custom"))],
    ),
    "spec: cannot be changed, except deletionPolicy": (
        [(_snapshot(), _snapshot(deletionPolicy="Delete"))],
        [
            (_snapshot(), _snapshot(clusterRef={"name": "other"})),
            (_snapshot(), _snapshot(collections=["a"])),
            (_snapshot(), _snapshot(storage={"s3": {"bucket": "elsewhere"}})),
            (_snapshot(), _snapshot(verify={"mode": "None"})),
        ],
    ),
}
"""Message of a rule about changes → pairs (before, after) that it accepts, pairs that it refuses."""

BOUNDS: list[tuple[str, Manifest]] = [
    ("spec.vectors.size", least(COLLECTION, vectors={"size": 0, "distance": "Dot"})),
    ("spec.vectors.size", least(COLLECTION, vectors={"size": 65537, "distance": "Dot"})),
    ("spec.vectors.distance", least(COLLECTION, vectors={"size": 4, "distance": "cosine"})),
    ("spec.shardNumber", least(COLLECTION, shardNumber=0)),
    ("spec.replicationFactor", least(COLLECTION, replicationFactor=0)),
    ("spec.sharding.keys[0].key", _keyed({"key": -1})),
    ("spec.sharding.keys[0].key", _keyed({"key": ""})),
    ("spec.sharding.keys[0].shards", _keyed({"key": 1, "shards": 0})),
    ("spec.sharding.keys[0].replicationFactor", _keyed({"key": 1, "replicationFactor": 101})),
    ("spec.hnsw.efConstruct", least(COLLECTION, hnsw={"efConstruct": 3})),
    ("spec.quantization.scalar.quantile", _quantized(scalar={"quantile": 0.4})),
    (
        "spec.optimizers.maxOptimizationThreads",
        least(COLLECTION, optimizers={"maxOptimizationThreads": "all"}),
    ),
    ("spec.optimizers.maxOptimizationThreads", least(COLLECTION, optimizers={"maxOptimizationThreads": -1})),
    ("spec.name", least(COLLECTION, name="a/b")),
    ("spec.aliases", least(COLLECTION, aliases=["a", "a"])),
    (
        "spec.payloadIndexes",
        least(COLLECTION, payloadIndexes=[{"field": "a", "type": "bool"}, {"field": "a", "type": "geo"}]),
    ),
    ("spec.replicas", _cluster(replicas=0)),
    ("spec.replicas", _cluster(replicas=101)),
    ("spec.version", manifest(CLUSTER, {})),
    ("spec.persistence.size", _cluster(persistence={"size": "ten"})),
    ("spec.resources.limits.memory", _cluster(resources={"limits": {"memory": "8GB"}})),
    ("spec.storage.s3", least(SNAPSHOT, storage={})),
    ("spec.collections", least(SNAPSHOT, collections=[])),
    ("spec.retention.keepLast", least(SCHEDULE, retention={"keepLast": 0})),
]
"""Path of a field that a schema bound refuses, and a manifest that goes beyond it."""


def cases() -> Iterator[Case]:
    """Every case of every rule."""
    for rule, (good, bad) in STATIC.items():
        yield from (Case(rule, one, accepted=True) for one in good)
        yield from (Case(rule, one, accepted=False) for one in bad)
    for rule, (fine, refused) in CHANGES.items():
        yield from (Case(rule, after, True, before) for before, after in fine)
        yield from (Case(rule, after, False, before) for before, after in refused)
