"""What stands in for mounts and cluster DNS: paths and names in texts become real ones.

A process has no file system and no resolver of its own, so in arguments, environment values and mounted text
files every container path becomes the folder behind it, `<pod>.<service>.<namespace>.svc` the pod's address,
and `<service>.<namespace>.svc` the address of a pod that the Service selects. Pure functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_NAME = re.compile(
    rf"(?<![\w.-])(?:(?P<pod>{_LABEL})\.)?(?P<service>{_LABEL})\.(?P<namespace>{_LABEL})\.svc"
    r"(?:\.cluster\.local)?(?![\w-]|\.\w)"
)
_REFERENCE = re.compile(r"\$(\$)?\(([A-Za-z_.-][\w.-]*)\)")
_PATH_BEFORE = r"(?<![\w./-])"
_PATH_AFTER = r"(?![\w.-])"

ServiceName = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True)
class Substitution:
    """Everything that changes in one container's texts."""

    paths: Mapping[str, str]
    """Path in the container to path on this machine."""
    pod_address: Callable[[str, str], str]
    """Address of a pod by namespace and name."""
    services: Mapping[ServiceName, str] = field(default_factory=dict)
    """Addresses of Services that have a ready pod; others stay as they are written."""

    def text(self, text: str) -> str:
        """Replace every path and every name."""
        return self._with_paths(_NAME.sub(self._address, text))

    def file(self, content: bytes) -> bytes:
        """Replace in a file that is text; others stay as they are."""
        try:
            return self.text(content.decode()).encode()
        except UnicodeDecodeError:
            return content

    def _address(self, match: re.Match[str]) -> str:
        if match["pod"]:
            return self.pod_address(match["namespace"], match["pod"])
        return self.services.get((match["namespace"], match["service"]), match[0])

    def _with_paths(self, text: str) -> str:
        if not self.paths:
            return text
        longest_first = sorted(self.paths, key=len, reverse=True)
        pattern = _PATH_BEFORE + "(" + "|".join(map(re.escape, longest_first)) + ")" + _PATH_AFTER
        return re.sub(pattern, lambda match: self.paths[match[1]], text)


def mentioned_services(text: str) -> set[ServiceName]:
    """Plain Services whose names stand in a text."""
    return {(match["namespace"], match["service"]) for match in _NAME.finditer(text) if not match["pod"]}


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Expand `$(NAME)` as Kubernetes does: unknown names stay, `$$(NAME)` is a literal `$(NAME)`."""

    def value(match: re.Match[str]) -> str:
        if match[1]:
            return f"$({match[2]})"
        return variables.get(match[2], match[0])

    return _REFERENCE.sub(value, text)
