"""An S3 server in the cluster: SeaweedFS in the namespace `storage`, with one bucket and one pair of keys."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from typing import Any

from e2e.environment.images import SEAWEEDFS
from e2e.environment.installing import namespace
from e2e.environment.kubectl import Kubectl
from e2e.environment.namespaces import STORAGE
from e2e.shell import eventually
from qdrant_operator.domain.common.kinds import Manifest

BUCKET = "backups"
_PORT = 8333


@dataclass(frozen=True, slots=True)
class Storage:
    """What users write about it, and what is in it."""

    kubectl: Kubectl
    access_key: str
    secret_key: str
    bucket: str = BUCKET
    region: str = "us-east-1"
    endpoint: str = f"http://s3.{STORAGE}.svc:{_PORT}"

    def secret(self, name: str = "s3") -> Manifest:
        """The Secret that a snapshot's spec names."""
        keys = {"accessKeyId": self.access_key, "secretAccessKey": self.secret_key}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": keys}

    def place(self, prefix: str, secret: str = "s3") -> Manifest:
        """`spec.storage` of a QdrantSnapshot or a schedule."""
        return {
            "s3": {
                "bucket": self.bucket,
                "prefix": prefix,
                "region": self.region,
                "endpoint": self.endpoint,
                "credentials": {"secretRef": {"name": secret}},
            }
        }

    def files(self, prefix: str = "") -> list[str]:
        """Paths of all objects below a prefix that ends with a slash, without the bucket's name."""
        root = f"/buckets/{self.bucket}/"
        return [line.strip() for line in self._shell(f"fs.tree {root}{prefix}").splitlines() if line.strip()]

    def stop(self) -> None:
        """Take the server away, as an outage does: what it stores stays."""
        self.kubectl("scale", "deployment/s3", "--replicas=0")
        eventually(lambda: not self.kubectl.all("pods", "app=s3"), 60)

    def start(self) -> None:
        """Have the server and its bucket."""
        self.kubectl("scale", "deployment/s3", "--replicas=1")
        self.kubectl("rollout", "status", "deployment/s3", "--timeout=120s", timeout=130)
        eventually(self._has_bucket, 60)

    def _has_bucket(self) -> bool:
        if self.bucket not in self._shell("s3.bucket.list"):
            self._shell(f"s3.bucket.create -name {self.bucket}")
        return True

    def _shell(self, command: str) -> str:
        shell = ("exec", "--stdin", "deployment/s3", "--", "weed", "shell", "-master=127.0.0.1:9333")
        return self.kubectl(*shell, stdin=f"{command}\n")


def install(admin: Kubectl) -> Storage:
    """Apply it and wait until it has its bucket; a server that is there already keeps its keys."""
    kubectl = admin.within(STORAGE)
    kubectl.apply(namespace(STORAGE))
    found = kubectl.get("secret", "keys")
    storage = Storage(kubectl, "e2e", _kept(found) if found else secrets.token_hex(16))
    kubectl.apply(*_objects(storage))
    storage.start()
    return storage


def _kept(secret: Manifest) -> str:
    identities = json.loads(base64.b64decode(secret["data"]["identities.json"]))["identities"]
    return str(identities[0]["credentials"][0]["secretKey"])


def _objects(storage: Storage) -> list[Manifest]:
    credentials = [{"accessKey": storage.access_key, "secretKey": storage.secret_key}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    identities = {"identities": [{"name": "e2e", "credentials": credentials, "actions": actions}]}
    return [
        _named("v1", "Secret", "keys", stringData={"identities.json": json.dumps(identities)}),
        _named(
            "v1", "Service", "s3", spec={"selector": {"app": "s3"}, "ports": [{"name": "s3", "port": _PORT}]}
        ),
        _named("v1", "PersistentVolumeClaim", "data", spec=_CLAIM),
        _named("apps/v1", "Deployment", "s3", spec=_deployment()),
    ]


def _named(version: str, kind: str, name: str, **fields: Any) -> Manifest:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **fields}


def _deployment() -> Manifest:
    return {
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": {"app": "s3"}},
        "template": {"metadata": {"labels": {"app": "s3"}}, "spec": {**OFF_WORKERS, **_pod()}},
    }


OFF_WORKERS: Manifest = {
    "tolerations": [
        {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"}
    ],
    "affinity": {
        "nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 100,
                    "preference": {
                        "matchExpressions": [
                            {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}
                        ]
                    },
                }
            ]
        }
    },
}
"""What watches and what stores runs beside the API server where it may: faults of workers spare it."""


def _pod() -> Manifest:
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "containers": [
            {
                "name": "s3",
                "image": SEAWEEDFS,
                "args": _ARGUMENTS,
                "env": [{"name": "GOMEMLIMIT", "value": "256MiB"}],
                "ports": [{"name": "s3", "containerPort": _PORT}],
                "readinessProbe": {"tcpSocket": {"port": _PORT}, "periodSeconds": 1},
                "volumeMounts": [
                    {"name": "data", "mountPath": "/data"},
                    {"name": "keys", "mountPath": "/keys", "readOnly": True},
                    {"name": "tmp", "mountPath": "/tmp"},
                ],
            }
        ],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "tmp", "emptyDir": {}},
            {"name": "keys", "secret": {"secretName": "keys"}},
        ],
        "securityContext": {"fsGroup": 65532},
    }


_CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
_ARGUMENTS = [
    "server", "-dir=/data", "-ip=127.0.0.1", "-ip.bind=0.0.0.0", "-master.volumeSizeLimitMB=64", "-volume.max=500",
    "-filer", "-s3", f"-s3.port={_PORT}", "-s3.config=/keys/identities.json", "-s3.autoCreateBucket=false",
    "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false", "-filer.localSocket=/tmp/filer.sock",
    "-s3.localSocket=/tmp/s3.sock",
]  # fmt: skip
