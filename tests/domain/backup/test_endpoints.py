"""Where backups may be sent: no address that means the operator's own pod or its cloud's credentials."""

from __future__ import annotations

import pytest

from qdrant_operator.domain.backup.endpoints import endpoint_problem

INTERNAL = [
    "http://127.0.0.1:9000",
    "https://127.255.0.3",
    "http://localhost",
    "http://LOCALHOST.:80",
    "http://s3.localhost",
    "http://0.0.0.0:9000",
    "http://0",
    "http://127.1",
    "http://2130706433",
    "http://0x7f000001",
    "http://0x7f.1",
    "http://0177.0.0.1",
    "http://017700000001",
    "http://[::1]:9000",
    "http://[::]",
    "http://[::ffff:127.0.0.1]",
    "http://[::ffff:7f00:1]",
    "http://[::127.0.0.1]",
    "http://[64:ff9b::7f00:1]",
    "http://[2002:7f00:1::]",
    "http://169.254.169.254",
    "http://169.254.170.2:80",
    "http://2852039166",
    "http://0xa9.0xfe.0xa9.0xfe",
    "http://[fe80::1%25eth0]",
    "http://[::ffff:169.254.169.254]",
    "http://[fd00:ec2::254]",
    "http://100.100.100.200",
    "http://metadata.google.internal",
    "http://metadata",
    "http://",
    "http://[",
]
ELSEWHERE = [
    None,
    "https://s3.eu-west-1.amazonaws.com",
    "http://minio.minio.svc:9000",
    "http://minio.minio.svc.cluster.local.",
    "http://10.0.0.7:9000",
    "http://192.168.1.5",
    "http://[fd12::7]:9000",
    "http://127-0-0-1.example.org",
    "http://1.2.3.4.5",
    "http://metadata.example.org",
]


@pytest.mark.parametrize("endpoint", INTERNAL)
def test_what_is_the_pods_own_is_refused(endpoint: str) -> None:
    """In every form that a resolver takes."""
    assert endpoint_problem(endpoint, ()) is not None


@pytest.mark.parametrize("endpoint", ELSEWHERE)
def test_other_endpoints_are_used(endpoint: str | None) -> None:
    """Services of the cluster and private addresses are what backups are sent to."""
    assert endpoint_problem(endpoint, ()) is None


@pytest.mark.parametrize(
    ("endpoint", "taken"),
    [
        ("https://s3.example.org", True),
        ("https://s3.example.org/", True),
        ("https://s3.example.org.evil.net", False),
        ("http://127.0.0.1:9000", True),
        ("http://169.254.169.254", False),
        ("http://minio.minio.svc:9000", False),
        (None, True),
    ],
)
def test_allow_list_decides_alone(endpoint: str | None, taken: bool) -> None:
    """What the administrator lists is used, loopback included; nothing else is, but AWS."""
    allowed = ("https://s3.example.org", "http://127.0.0.1:*")
    assert (endpoint_problem(endpoint, allowed) is None) is taken
