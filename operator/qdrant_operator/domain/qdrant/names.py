"""Names that Qdrant accepts, and that then break it. Pure.

The CRD refuses them too; this is asked again before a collection or an alias is made, because a name that Qdrant
cannot make a directory for stops consensus on every peer permanently, and CRDs may be older than the operator.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from qdrant_operator.api.collection.spec import NAME_BYTES


def unfit_name(name: str) -> str | None:
    """Why nothing may be made under this name; None when it may."""
    size = len(name.encode(errors="surrogatepass"))
    if size > NAME_BYTES:
        return f"has {size} bytes, and Qdrant names files after it: at most {NAME_BYTES} fit"
    if name in (".", ".."):
        return f"is the directory {name!r}"
    return None


def alias_refusals(aliases: Iterable[str]) -> Iterator[str]:
    """A sentence for each alias that may not be made."""
    for alias in aliases:
        if why := unfit_name(alias):
            yield f"spec.aliases: {_shown(alias)} {why}; choose another alias, and upgrade the CRDs"


def name_refusal(name: str) -> str | None:
    """Why no collection is made under this name, in words; None when one may be."""
    why = unfit_name(name)
    if why is None:
        return None
    return (
        f"the name {_shown(name)} {why}; make a QdrantCollection with another spec.name, and upgrade the CRDs"
    )


def _shown(name: str) -> str:
    return repr(name) if len(name) <= 40 else f"{name[:40]!r}…"
