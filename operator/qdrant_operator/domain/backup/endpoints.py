"""Which S3 endpoints the operator and its Jobs may be sent to.

A user of one namespace chooses the endpoint, and the operator's pod sends requests there. Addresses that mean
something else for that pod than for the user are refused: its own loopback, and the link-local addresses at which
clouds hand out credentials.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address

METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "instance-data"})
"""Names of metadata services in clouds' own DNS zones."""
METADATA_ADDRESSES = frozenset({ip_address("100.100.100.200"), ip_address("fd00:ec2::254")})
"""Metadata services that are not link-local: Alibaba Cloud's, and AWS's over IPv6."""
NAT64 = ip_network("64:ff9b::/96")


def endpoint_problem(endpoint: str | None, allowed: Sequence[str]) -> str | None:
    """Why an endpoint may not be used; None when it may.

    Args:
        endpoint: URL from a spec; None: AWS itself.
        allowed: patterns of URLs, * and ? match any characters and one; empty: every endpoint but
            loopback, link-local and metadata services.
    """
    if endpoint is None:
        return None
    if allowed:
        if any(fnmatchcase(endpoint.rstrip("/"), pattern.rstrip("/")) for pattern in allowed):
            return None
        return f"{endpoint} is not among the storage endpoints that the operator is configured to allow"
    try:
        host = (urlsplit(endpoint).hostname or "").rstrip(".")
    except ValueError:
        host = ""
    if not host:
        return f"{endpoint} names no host"
    return f"{endpoint} is {what}, which backups may not use" if (what := _internal(host)) else None


def _internal(host: str) -> str | None:
    if host == "localhost" or host.endswith(".localhost"):
        return "a loopback address"
    if host in METADATA_NAMES:
        return "a cloud's metadata service"
    address = _address(host)
    return _internal_address(address) if address is not None else None


def _internal_address(address: Address) -> str | None:
    inner = _embedded(address)
    if address.is_loopback or address.is_unspecified:
        return "a loopback address"
    if address in METADATA_ADDRESSES:
        return "a cloud's metadata service"
    if address.is_link_local:
        return "a link-local address"
    return _internal_address(inner) if inner is not None else None


def _embedded(address: Address) -> IPv4Address | None:
    """The IPv4 address inside an IPv6 one: mapped, compatible, 6to4 or NAT64."""
    if isinstance(address, IPv4Address):
        return None
    if address in NAT64 or int(address) >> 32 == 0:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _address(host: str) -> Address | None:
    """An address in any form that resolvers take, such as 127.1, 2130706433 or 0x7f.0.0.1; None: a name."""
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        pass
    numbers = [_number(part) for part in host.split(".")]
    if len(numbers) > 4 or any(number is None for number in numbers):
        return None
    *heads, last = [number or 0 for number in numbers]
    value = last + sum(head << 8 * (3 - place) for place, head in enumerate(heads))
    return IPv4Address(value) if value < 2**32 and all(head < 256 for head in heads) else None


def _number(text: str) -> int | None:
    """A number as C reads it: decimal, 0x… or, after a zero, octal."""
    digits = text.lower()
    base = 16 if digits.startswith("0x") else 8 if digits.startswith("0") and len(digits) > 1 else 10
    try:
        return int(digits.removeprefix("0x"), base)
    except ValueError:
        return None
