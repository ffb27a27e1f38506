"""Who may call what: full key, alternate key, read-only key."""

from __future__ import annotations

from sandbox.qdrant_sim.core.api.answers import Answer, Call, Fault, plain
from sandbox.qdrant_sim.core.settings import Settings

OPEN = ("", "healthz", "livez", "readyz")
READING_POSTS = ("points", "scroll", "count", "query", "batch", "search", "facet")


def refusal(settings: Settings, call: Call) -> Answer | None:
    """The answer to a call that the keys do not allow; None when it may go on."""
    guarded = settings.api_key is not None or settings.read_only_api_key is not None
    if not guarded or (call.segments[0] if call.segments else "") in OPEN:
        return None
    if call.key is None:
        return plain("Must provide an API key or an Authorization bearer token", 401)
    if call.key in (settings.api_key, settings.alt_api_key):
        return None
    if call.key != settings.read_only_api_key:
        return plain("Invalid API key or JWT", 401)
    if _reads(call):
        return None
    return Fault(403, f"Forbidden: {_needed(call)}").answer


def _reads(call: Call) -> bool:
    if call.method == "GET":
        return True
    in_points = len(call.segments) > 2 and call.segments[2] == "points"
    return call.method == "POST" and in_points and call.segments[-1] in READING_POSTS


def _needed(call: Call) -> str:
    in_collection = len(call.segments) > 2 and call.segments[2] in ("points", "index", "vectors")
    return (
        f"Write access to collection {call.segments[1]} is required"
        if in_collection
        else ("Global manage access is required")
    )
