"""Tokens, the service-account key and kubeconfig files of a sandbox.

Nothing here is secret beyond the sandbox's folder: it lives on loopback and dies with it. The operator's token
carries a service account's user name, so the ClusterRoleBindings that a user installs are what it is held to.
"""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

_DER_HEAD = bytes.fromhex("30310201010420")
_DER_TAIL = bytes.fromhex("a00a06082a8648ce3d030107")
"""What stands around the 32 secret bytes of an ECPrivateKey (RFC 5915) on P-256; readers derive the public half."""


@dataclass(frozen=True, slots=True)
class User:
    """Who a token stands for."""

    name: str
    groups: tuple[str, ...]
    token: str

    def csv(self) -> str:
        """Line of kube-apiserver's static token file."""
        return f'{self.token},{self.name},{self.name},"{",".join(self.groups)}"'


@dataclass(frozen=True, slots=True)
class Access:
    """What one of our kubeconfig files says."""

    host: str
    port: int
    token: str
    authority: str
    """Certificate of the server, PEM."""

    @classmethod
    def from_kubeconfig(cls, path: Path) -> Access:
        """Read a file that `write_kubeconfig` has written."""
        config = json.loads(path.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        host, _, port = cluster["server"].removeprefix("https://").partition(":")
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        return cls(host, int(port), user["token"], authority)


def administrator() -> User:
    """Return a user that may do everything."""
    return User("admin", ("system:masters",), secrets.token_hex(16))


def service_account(namespace: str, name: str) -> User:
    """Return a user that may do what RBAC grants this service account, and no more."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    return User(f"system:serviceaccount:{namespace}:{name}", groups, secrets.token_hex(16))


def write_signing_key(path: Path) -> None:
    """Write a fresh EC private key in PEM, for service-account tokens."""
    # any 32 bytes below the curve's order are a key; the order begins with 32 one-bits, so clear the first one
    scalar = bytes([secrets.randbelow(128)]) + secrets.token_bytes(31)
    text = base64.encodebytes(_DER_HEAD + scalar + _DER_TAIL).decode()
    path.write_text(f"-----BEGIN EC PRIVATE KEY-----\n{text}-----END EC PRIVATE KEY-----\n")
    path.chmod(0o600)


def write_kubeconfig(path: Path, *, server: str, ca: Path, token: str, namespace: str = "default") -> None:
    """Write a kubeconfig (JSON is YAML) with the certificate inlined, so that the file can be copied."""
    authority = base64.b64encode(ca.read_bytes()).decode()
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "sandbox", "cluster": {"server": server, "certificate-authority-data": authority}}
        ],
        "users": [{"name": "sandbox", "user": {"token": token}}],
        "contexts": [
            {"name": "sandbox", "context": {"cluster": "sandbox", "user": "sandbox", "namespace": namespace}}
        ],
        "current-context": "sandbox",
    }
    path.write_text(json.dumps(body, indent=2))
    path.chmod(0o600)
