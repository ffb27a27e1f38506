"""Settings of Qdrant that the operator owns, and the refusal of a spec that would set them in any spelling.

Qdrant 1.19 (`src/settings.rs`, configuration library `config` 0.15) merges its own defaults, the image's files, our
config.yaml and last the environment. A dotted key at the top of a file is a path: `cluster.enabled: false` is
`cluster: {enabled: false}`. Variables that begin with QDRANT__ in any case are settings, in lower case, with `__`
between the steps; of two that differ only in case the last one counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from qdrant_operator.domain.common.errors import Refused

OWNED: Final[Mapping[str, str]] = {
    "cluster.enabled": "every cluster here is a Raft cluster",
    "cluster.peer_id": "Qdrant chooses it",
    "cluster.p2p.port": "the Services use 6335",
    "cluster.p2p.enable_tls": "encryption between peers is not offered yet",
    "service.host": "peers listen on every address of their pod, of IPv4 and of IPv6",
    "service.http_port": "the Services use 6333",
    "service.grpc_port": "the Services use 6334",
    "service.enable_tls": "encryption of the API is not offered yet",
    "service.api_key": "use spec.auth.apiKey",
    "service.alt_api_key": "it is kept for the operator's own key rotation",
    "service.read_only_api_key": "use spec.auth.readOnlyApiKey",
    "storage.storage_path": "it is where the volume is mounted",
    "storage.snapshots_path": "it is where the operator looks for snapshots",
    "storage.snapshots_config": "snapshots stay on the peers' volumes, and its keys would be readable in a ConfigMap;"
    " a QdrantSnapshot saves to object storage",
    "tls": "encryption is not offered yet",
}
"""Keys of Qdrant's configuration that the operator sets itself, and the remedy."""

PREFIX: Final = "QDRANT__"
OWN_VARIABLES: Final = frozenset(
    {"POD_NAME", "POD_IPS", "QDRANT_PEER_URI", "QDRANT_FIRST_POD", "QDRANT_INIT_FILE_PATH"}
)
"""Variables that the start script reads."""
CONFIG_BYTES: Final = 64 * 1024
"""Largest spec.config: Qdrant's own configuration file, with all comments, has some 18 KiB. It is rendered in every
pass, on the one thread that serves all clusters."""
CONFIG_DEPTH: Final = 16
"""Deepest nesting of spec.config; Qdrant's own has 5 levels."""
FREE_BYTES: Final = 64 * 1024
"""Largest podTemplate, with what Kubernetes defines in it (affinity, annotations, values of variables)."""


def check_config(config: Mapping[str, Any]) -> None:
    """Refuse a configuration that is too large, or sets keys that the operator owns.

    Raises:
        Refused: `InvalidConfig`, naming the field and what to use instead.
    """
    check_size(config, "spec.config", "InvalidConfig", CONFIG_BYTES, "leave out what is Qdrant's default")
    for path in _paths(config, ()):
        spelled, folded = ".".join(path), ".".join(path).lower()
        for owned, remedy in OWNED.items():
            if folded == owned or folded.startswith(f"{owned}."):
                raise Refused(
                    "InvalidConfig", f"spec.config.{spelled} is set by the operator: {remedy}; remove it"
                )
        if "[" in path[0]:
            raise Refused(
                "InvalidConfig", f"spec.config.{spelled}: no setting of Qdrant is named so; remove it"
            )


def check_environment(names: Iterable[str]) -> None:
    """Refuse variables that Qdrant would take for settings, or that the start script reads.

    Raises:
        Refused: `InvalidSpec`, naming the variable.
    """
    for name in names:
        if name.upper().startswith(PREFIX):
            raise Refused(
                "InvalidSpec",
                f"spec.podTemplate.spec.env: {name} would override what the operator sets, whatever its case; put the"
                " setting into spec.config, and upgrade the CRDs",
            )
        if name.upper() in OWN_VARIABLES:
            raise Refused(
                "InvalidSpec",
                f"spec.podTemplate.spec.env: {name} belongs to the operator; choose another name, and upgrade the CRDs",
            )


def check_size(tree: Any, where: str, reason: str, limit: int, remedy: str) -> None:
    """Refuse a part of a spec that is too large or nested too deep; what it costs is bounded by `limit`.

    Raises:
        Refused: `reason`, naming the field.
    """
    size = 0
    waiting: list[tuple[Any, int]] = [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        children = _children(node)
        size += 2 + 2 * len(children)
        size += _text_size(node) if size <= limit else 0
        if size > limit:
            raise Refused(reason, f"{where} has more than {limit // 1024} KiB; {remedy}")
        if depth > CONFIG_DEPTH:
            raise Refused(reason, f"{where} is nested more than {CONFIG_DEPTH} levels deep; {remedy}")
        waiting += ((child, depth + 1) for child in children)


def owned_environment(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Owned settings as variables: of all sources of a setting the environment counts last."""
    for path, value in _leaves(settings, ()):
        text = str(value).lower() if isinstance(value, bool) else str(value)
        yield PREFIX + "__".join(path).upper(), text


def _text_size(node: Any) -> int:
    """Bytes of a node's own text: its keys, or its value."""
    if isinstance(node, Mapping):
        return sum(len(str(key).encode()) + 2 for key in node)
    return 0 if isinstance(node, list | tuple) else len(str(node).encode())


def _children(node: Any) -> Collection[Any]:
    if isinstance(node, Mapping):
        return node.values()
    return node if isinstance(node, list | tuple) else ()


def _paths(tree: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Every key of the tree with what is above it, dotted keys taken apart."""
    for key, value in tree.items():
        path = (*above, *str(key).split("."))
        yield path
        if isinstance(value, Mapping):
            yield from _paths(value, path)


def _leaves(tree: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value
