"""Argo CD's health checks, run as Argo CD runs them: Lua 5.1 without libraries, and `obj` given."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from lupa.lua51 import LuaRuntime

HEALTH = Path(__file__).parents[2] / "examples" / "argocd" / "health.yaml"
PREFIX = "resource.customizations.health."
WORDS = frozenset({"Healthy", "Progressing", "Degraded", "Suspended"})
"""Argo CD's words that a check may answer; Missing and Unknown are its own to say."""
ABSENT = (
    "string", "table", "math", "coroutine", "io", "os", "require", "module", "package", "dofile", "loadfile", "load",
    "loadstring", "debug",
)  # fmt: skip
"""What Argo CD does not give to scripts (unless `useOpenLibs` is set), or only in part."""


class Health(NamedTuple):
    """What a check says of an object."""

    status: str
    message: str


@cache
def scripts() -> Mapping[str, str]:
    """The scripts by `<group>_<kind>`."""
    data: Mapping[str, str] = yaml.safe_load(HEALTH.read_text())["data"]
    assert all(key.startswith(PREFIX) for key in data)
    return {key.removeprefix(PREFIX): script for key, script in data.items()}


def judge(manifest: Mapping[str, Any]) -> Health:
    """What Argo CD shows of an object."""
    group = str(manifest["apiVersion"]).split("/")[0]
    lua = LuaRuntime(unpack_returned_tuples=True, register_eval=False, register_builtins=False)
    names = lua.globals()
    for name in ABSENT:
        names[name] = None
    names["obj"] = lua.table_from(manifest, recursive=True)
    answer = dict(lua.execute(scripts()[f"{group}_{manifest['kind']}"]))
    assert set(answer) == {"status", "message"}, answer
    return Health(**answer)
