"""What a peer is started with: Qdrant's command line, environment and configuration file, later wins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import yaml


@dataclass(frozen=True, slots=True)
class Settings:
    """The part of Qdrant's configuration that the simulator follows."""

    uri: str | None = None
    bootstrap: str | None = None
    reinit: bool = False
    clustered: bool = False
    api_key: str | None = None
    alt_api_key: str | None = None
    read_only_api_key: str | None = None
    http_port: int = 6333
    version: str = "1.19.0"
    """The release of the binary."""

    def __post_init__(self) -> None:
        """URIs are compared without their trailing slash, as Qdrant compares them parsed."""
        for name in ("uri", "bootstrap"):
            value = getattr(self, name)
            object.__setattr__(self, name, value.rstrip("/") if value else None)


def parse(args: Sequence[str], env: Mapping[str, str], read: Callable[[str], str | None]) -> Settings:
    """Settings from arguments and environment; `read` gives a configuration file's text, None when absent.

    A key that is set but empty counts as unset: so does Qdrant's own, and the server starts open.
    """
    flags = _flags(args)
    path = flags.get("config-path")
    tree = yaml.safe_load(read(path) or "") if path else None
    values = _flatten(tree or {}) | {
        name.lower().removeprefix("qdrant__"): value
        for name, value in env.items()
        if name.lower().startswith("qdrant__")
    }
    return Settings(
        uri=flags.get("uri") or env.get("QDRANT_URI") or None,
        bootstrap=flags.get("bootstrap") or env.get("QDRANT_BOOTSTRAP") or None,
        reinit="reinit" in flags,
        clustered=str(values.get("cluster__enabled", "")).lower() == "true",
        api_key=_text(values, "service__api_key"),
        alt_api_key=_text(values, "service__alt_api_key"),
        read_only_api_key=_text(values, "service__read_only_api_key"),
        http_port=int(values.get("service__http_port") or 6333),
    )


def host_of(uri: str) -> str:
    """The host in a URI."""
    return urlsplit(uri).hostname or ""


def _text(values: Mapping[str, Any], name: str) -> str | None:
    value = values.get(name)
    return str(value) if value not in (None, "") else None


def _flags(args: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    rest = list(args)
    while rest:
        name = rest.pop(0)
        if not name.startswith("--"):
            continue
        name, equals, value = name[2:].partition("=")
        takes = name in ("uri", "bootstrap", "config-path", "snapshot", "storage-snapshot")
        found[name] = value if equals or not takes or not rest else rest.pop(0)
    return found


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        key = f"{prefix}{name}".lower()
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{key}__")
        elif value is not None:
            flat[key] = value
    return flat
