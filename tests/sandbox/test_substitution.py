"""Paths and names in texts become folders and addresses, and nothing else changes."""

from __future__ import annotations

import pytest

from sandbox.node.network.substitution import Substitution, expand, mentioned_services

SUBSTITUTION = Substitution(
    paths={"/qdrant": "/host/root/qdrant", "/qdrant/storage": "/host/volume", "/tmp": "/host/tmp"},
    pod_address=lambda namespace, pod: f"<{namespace}/{pod}>",
    services={("default", "vectors"): "127.9.1.1"},
)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("/qdrant/storage/snapshots", "/host/volume/snapshots"),
        ("cd /qdrant", "cd /host/root/qdrant"),
        ('storage_path: "/qdrant/storage"', 'storage_path: "/host/volume"'),
        ("--config=/qdrant/operator/config.yaml", "--config=/host/root/qdrant/operator/config.yaml"),
        ("/qdrant/storage-old", "/host/root/qdrant/storage-old"),
        ("/qdranted", "/qdranted"),
        ("./qdrant", "./qdrant"),
        ("/var/tmp/x", "/var/tmp/x"),
    ],
)
def test_paths(given: str, wanted: str) -> None:
    """A mount path is replaced where it is a whole path, the longest one first, and nowhere else."""
    assert SUBSTITUTION.text(given) == wanted


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("http://v-0.v-peers.default.svc:6335", "http://<default/v-0>:6335"),
        ("v-0.v-peers.default.svc.cluster.local", "<default/v-0>"),
        ("http://vectors.default.svc:6333/x", "http://127.9.1.1:6333/x"),
        ("http://unready.default.svc:6333", "http://unready.default.svc:6333"),
        ("v-0.v-peers.default.svc.example.com", "v-0.v-peers.default.svc.example.com"),
        ("*.v-peers.default.svc", "*.v-peers.default.svc"),
        ("a.b.svcs", "a.b.svcs"),
    ],
)
def test_names(given: str, wanted: str) -> None:
    """A pod's name becomes its address, a Service's name that of a ready pod; other names stay."""
    assert SUBSTITUTION.text(given) == wanted


def test_files_that_are_no_text_stay() -> None:
    """Bytes that are not UTF-8 are written as they are."""
    content = b"\xff\xfe /qdrant/storage"
    assert SUBSTITUTION.file(content) == content
    assert SUBSTITUTION.file(b"at /tmp") == b"at /host/tmp"


def test_mentioned_services() -> None:
    """Only plain Services need a ready pod to be looked up."""
    text = "http://vectors.default.svc:6333 and http://v-0.v-peers.default.svc:6335"
    assert mentioned_services(text) == {("default", "vectors")}


def test_expansion() -> None:
    """`$(NAME)` is expanded when known, kept when not, and `$$(NAME)` is an escape."""
    assert expand("$(A) $(B) $$(A) $A", {"A": "1"}) == "1 $(B) $(A) $A"
