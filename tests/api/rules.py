"""Every CEL rule and what it accepts and refuses, as data: the API server is asked in the contract suite."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.api.manifests import Manifest, least
from tests.api.rule_changes import CHANGES
from tests.api.rule_manifests import (
    CLUSTER,
    COLLECTION,
    SCHEDULE,
    SNAPSHOT,
    block,
    clients,
    cluster,
    cron,
    env,
    index,
    key_peers,
    keyed,
    labels,
    named,
    quantized,
    required,
    resources,
    s3,
    sharded,
    vectors,
    worked,
)

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


KEY = {"secretRef": {"name": "keys"}}

STATIC: dict[str, tuple[list[Manifest], list[Manifest]]] = {
    # QdrantCluster
    "metadata.name: at most 40 characters, because the names of pods": (
        [named(CLUSTER, "a" * 40)],
        [named(CLUSTER, "a" * 41)],
    ),
    "metadata.name: lower-case letters, digits and - only": (
        [named(CLUSTER, "vectors-2")],
        [named(CLUSTER, "my.vectors"), named(CLUSTER, "2vectors")],
    ),
    "spec.version: not a full Qdrant release": (
        [cluster(version="v1.17.0")],
        [cluster(version="1.19.0"), cluster(version="v1.19"), cluster(version="latest")],
    ),
    "spec.version: releases before v1.17.0 are not supported": (
        [cluster(version="v1.17.1"), cluster(version="v1.100.0"), cluster(version="v2.0.0")],
        [cluster(version="v1.16.9"), cluster(version="v1.9.0"), cluster(version="v0.20.0")],
    ),
    "spec.image.repository: has a tag or a digest": (
        [cluster(image={"repository": "localhost:5000/qdrant"})],
        [
            cluster(image={"repository": "qdrant/qdrant:v1.19.0"}),
            cluster(image={"repository": "qdrant/qdrant@sha256:0123"}),
        ],
    ),
    "spec.resources: a request is larger than its limit": (
        [resources("1Gi", "1024Mi"), resources(100, "1Ki"), cluster(resources={"requests": {"cpu": 4}})],
        [resources("2Gi", "1Gi"), resources("2Gi", 1024)],
    ),
    "spec.persistence.size: must be greater than 0": (
        [cluster(persistence={"size": "1Mi"}), cluster(persistence={"size": 1048576})],
        [cluster(persistence={"size": "0"}), cluster(persistence={"size": 0})],
    ),
    "spec.shards: a duration has hours, minutes": (
        [
            cluster(shards={"replaceLostPeerAfter": "1h30m"}),
            cluster(shards={"window": {"schedule": "0 1 * * *", "duration": "90s"}}),
        ],
        [
            cluster(shards={"replaceLostPeerAfter": "30 minutes"}),
            cluster(shards={"replaceLostPeerAfter": "m"}),
            cluster(shards={"window": {"schedule": "0 1 * * *", "duration": ""}}),
        ],
    ),
    "spec.auth.disabled: excludes apiKey": (
        [cluster(auth={"disabled": True}), cluster(auth={"apiKey": KEY, "readOnlyApiKey": KEY})],
        [
            cluster(auth={"disabled": True, "apiKey": KEY}),
            cluster(auth={"disabled": True, "readOnlyApiKey": KEY}),
        ],
    ),
    "spec.podTemplate.metadata.labels: app.kubernetes.io/name": (
        [labels({"team": "search"})],
        [labels({"app.kubernetes.io/name": "mine"}), labels({"qdrantoperator.dev/serving": "true"})],
    ),
    "spec.podTemplate.spec.env: variables that begin with QDRANT__": (
        [env("RUST_LOG"), env("QDRANT_LOG"), env("my.setting-1")],
        [env("QDRANT__CLUSTER__ENABLED"), env("qdrant__service__api_key"), env("Qdrant__SERVICE.API_KEY")],
    ),
    "spec.podTemplate.spec.env: the variables of the start script": (
        [env("POD_UID")],
        [env("POD_NAME"), env("pod_ips"), env("QDRANT_FIRST_POD")],
    ),
    "spec.networkPolicy.clients: ipBlock requires a range": (
        [
            block("0.0.0.0/0", "10.0.0.0/8", "192.168.255.0/24"),
            block("::/0", "2001:db8::/32", "fd00:10:244::1/128"),
        ],
        [
            *(block(text) for text in ("10.0.0.0", "10.0.0.0/33", "256.0.0.0/8", "fd00::/129", "any", "")),
            block("10.0.0.0/8", "10.1.0.0"),
        ],
    ),
    "spec.networkPolicy.clients: an entry is empty": (
        [clients({"podSelector": {}}), clients({"namespaceSelector": {}}), clients()],
        [clients({}), clients({"podSelector": {}}, {})],
    ),
    "spec.networkPolicy.clients: ipBlock excludes": (
        [clients({"podSelector": {}, "namespaceSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/8"}})],
        [
            clients({"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}),
            clients({"namespaceSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}),
        ],
    ),
    **{
        f"spec.networkPolicy.clients: a requirement of {selector}": (
            [
                required(selector, "In", values=["a"]),
                required(selector, "Exists"),
                required(selector, "DoesNotExist", values=[]),
            ],
            [
                required(selector, "NotIn"),
                required(selector, "In", values=[]),
                required(selector, "Exists", values=["a"]),
            ],
        )
        for selector in ("podSelector", "namespaceSelector")
    },
    # QdrantCollection
    "spec.name: at most 180 bytes": (
        [least(COLLECTION, name=name) for name in ("a" * 180, "é" * 90, "知" * 60)],
        [least(COLLECTION, name=name) for name in ("a" * 181, "é" * 91, "知" * 61, "😀" * 46)],
    ),
    "spec.name: . and .. are directories": (
        [least(COLLECTION, name=name) for name in ("...", ".docs", "docs.")],
        [least(COLLECTION, name="."), least(COLLECTION, name="..")],
    ),
    "metadata.name: is the name of the collection if spec.name is absent": (
        [
            named(COLLECTION, "a" * 180),
            {**named(COLLECTION, "a" * 253), "spec": least(COLLECTION, name="d")["spec"]},
        ],
        [named(COLLECTION, "a" * 181)],
    ),
    "spec.aliases: at most 180 bytes": (
        [least(COLLECTION, aliases=["é" * 90])],
        [least(COLLECTION, aliases=["live", "é" * 91])],
    ),
    "spec.aliases: . and .. are directories": (
        [least(COLLECTION, aliases=["..."])],
        [least(COLLECTION, aliases=[".."])],
    ),
    "spec.aliases: an alias must differ": (
        [least(COLLECTION, name="docs", aliases=["subject"]), least(COLLECTION, aliases=["live"])],
        [least(COLLECTION, name="docs", aliases=["docs"]), least(COLLECTION, aliases=["subject"])],
    ),
    "spec.vectors: excludes spec.namedVectors": (
        [vectors(namedVectors={"a": VECTOR})],
        [vectors(vectors=VECTOR, namedVectors={"a": VECTOR})],
    ),
    "spec.vectors: a collection needs a vector": (
        [vectors(sparseVectors={"bm25": {}})],
        [vectors()],
    ),
    "spec.sparseVectors: duplicate name": (
        [vectors(namedVectors={"a": VECTOR}, sparseVectors={"b": {}})],
        [vectors(namedVectors={"a": VECTOR}, sparseVectors={"a": {}})],
    ),
    "spec.namedVectors: a vector's name": (
        [vectors(namedVectors={"x" * 200: VECTOR})],
        [
            vectors(namedVectors={"": VECTOR}),
            vectors(namedVectors={"é" * 101: VECTOR}),
            vectors(namedVectors={"a/b": VECTOR}),
            vectors(namedVectors={"a\\b": VECTOR}),
        ],
    ),
    "spec.sparseVectors: a vector's name": (
        [vectors(sparseVectors={"bm25 of body": {}})],
        [vectors(sparseVectors={"": {}}), vectors(sparseVectors={"a?": {}})],
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
        [keyed({"key": "eu"}), keyed(method="Auto"), sharded("Auto"), sharded("Custom")],
        [keyed({"key": "eu"}, method="Auto"), least(COLLECTION, sharding={"keys": [{"key": 1}]})],
    ),
    "spec.sharding.keys: duplicate key": (
        [keyed({"key": 7}, {"key": "7"}, {"key": "seven"}), keyed(*({"key": n} for n in range(256)))],
        [keyed({"key": 7}, {"key": "eu"}, {"key": 7}), keyed({"key": "eu"}, {"key": "eu", "shards": 2})],
    ),
    "spec.sharding.keys.peers: set exactly one of": (
        [key_peers(zone="a"), key_peers(pods=["vectors-0"])],
        [key_peers(), key_peers(zone="a", pods=["vectors-0"])],
    ),
    "quantization: set exactly one of": (
        [quantized(binary={}), quantized(scalar={}), quantized(product={"compression": "x4"})],
        [
            quantized(),
            quantized(scalar={}, binary={}),
            least(COLLECTION, vectors={**VECTOR, "quantization": {}}),
        ],
    ),
    "spec.payloadIndexes: isTenant: only for": (
        [index(type="keyword", isTenant=True), index(type="uuid", isTenant=True)],
        [index(type="integer", isTenant=True)],
    ),
    "spec.payloadIndexes: isPrincipal: only for": (
        [index(type=type_, isPrincipal=True) for type_ in ("integer", "float", "datetime")],
        [index(type="keyword", isPrincipal=False)],
    ),
    "spec.payloadIndexes: lookup, range: only for": (
        [index(type="integer", lookup=True, range=False)],
        [index(type="float", lookup=True), index(type="float", range=True)],
    ),
    "spec.payloadIndexes: tokenizer, minTokenLen": (
        [index(type="text", tokenizer="prefix", minTokenLen=1, maxTokenLen=9, lowercase=False)],
        [
            index(type="keyword", **{option: value})
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
        [index(type="integer", lookup=False)],
        [index(type="integer", lookup=False, range=False)],
    ),
    "spec.payloadIndexes: minTokenLen is larger": (
        [index(type="text", minTokenLen=3, maxTokenLen=3)],
        [index(type="text", minTokenLen=4, maxTokenLen=3)],
    ),
    # QdrantSnapshotSchedule
    "metadata.name: at most 40 characters, because the names of snapshots": (
        [named(SCHEDULE, "a" * 40)],
        [named(SCHEDULE, "a" * 41)],
    ),
    "spec.schedule: not a cron expression": (
        [
            cron(expression)
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
            cron(expression)
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
    "spec.timeZone: Local is not a valid time zone": (
        [least(SCHEDULE, timeZone="America/Argentina/Buenos_Aires")],
        [least(SCHEDULE, timeZone="Local")],
    ),
    # QdrantSnapshot
    "metadata.name: at most 56 characters": (
        [named(SNAPSHOT, "a" * 56)],
        [named(SNAPSHOT, "a" * 57)],
    ),
    "spec.job.resources: a request is larger than its limit": (
        [
            worked(resources={"limits": {"cpu": "100m", "memory": "160Mi"}}),
            worked(resources={"requests": {"memory": "1Gi"}, "limits": {}}),
        ],
        [
            worked(resources={"limits": {"cpu": "50m"}}),
            worked(resources={"requests": {"memory": "1Gi"}}),
        ],
    ),
    "spec.storage.s3.bucket: not a valid bucket name": (
        [s3(bucket="my-backups.eu")],
        [s3(bucket="My_Backups"), s3(bucket="ab"), s3(bucket="backups/prod")],
    ),
    "spec.storage.s3.prefix: must not begin with /": (
        [s3(prefix="prod/eu/"), s3(prefix="")],
        [s3(prefix="/prod"), s3(prefix="a//b")],
    ),
    "spec.storage.s3.prefix: longer than 400 bytes": (
        [s3(prefix="p" * 400), s3(prefix="é" * 200)],
        [s3(prefix="p" * 401), s3(prefix="é" * 201)],
    ),
    "spec.storage.s3.endpoint: a link-local address or a metadata service": (
        [s3(endpoint="http://metadata-store.example.com"), s3(endpoint="http://10.169.254.1:9000")],
        [
            s3(endpoint="http://169.254.169.254"),
            s3(endpoint="http://[FE80::1]:80/"),
            s3(endpoint="http://metadata.google.internal."),
            s3(endpoint="https://metadata:443"),
        ],
    ),
    "spec.storage.s3.endpoint: not the URL of a service": (
        [s3(endpoint="http://127.0.0.1:9000"), s3(endpoint="https://s3.example.com/")],
        [s3(endpoint="s3.example.com"), s3(endpoint="https://key:secret@s3.example.com")],
    ),
}
"""Message of a rule → manifests that it accepts, manifests that it refuses."""


def cases() -> Iterator[Case]:
    """Every case of every rule."""
    for rule, (good, bad) in STATIC.items():
        yield from (Case(rule, one, accepted=True) for one in good)
        yield from (Case(rule, one, accepted=False) for one in bad)
    for rule, (fine, refused) in CHANGES.items():
        yield from (Case(rule, after, True, before) for before, after in fine)
        yield from (Case(rule, after, False, before) for before, after in refused)
