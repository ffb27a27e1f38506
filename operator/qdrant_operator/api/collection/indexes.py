"""Payload indexes: payload fields with an index for filtering.

No I/O here. Attribute names are those of Qdrant's REST API.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from qdrant_operator.api.base import Model, rule, rules
from qdrant_operator.api.collection.tuning import Count

IndexType = Literal["keyword", "integer", "float", "bool", "datetime", "uuid", "geo", "text"]
_TEXT_ONLY = ("tokenizer", "minTokenLen", "maxTokenLen", "lowercase", "phraseMatching")


def _only_for(options: tuple[str, ...], types: tuple[str, ...]) -> dict[str, str]:
    """The rule that these options are set only on indexes of these types."""
    unset = " && ".join(f"!has(self.{option})" for option in options)
    names, kinds = ", ".join(options), " or ".join(types)
    return rule(
        f"self.type in {list(types)} || ({unset})",
        f"spec.payloadIndexes: {names}: only for indexes of type {kinds}; remove the option or change the type",
    )


class PayloadIndex(Model):
    """An index on one payload field."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            _only_for(("isTenant",), ("keyword", "uuid")),
            _only_for(("isPrincipal",), ("integer", "float", "datetime")),
            _only_for(("lookup", "range"), ("integer",)),
            _only_for(_TEXT_ONLY, ("text",)),
            rule(
                "!has(self.lookup) || !has(self.range) || self.lookup || self.range",
                "spec.payloadIndexes: lookup and range cannot both be false; set one to true",
            ),
            rule(
                "!has(self.minTokenLen) || !has(self.maxTokenLen) || self.minTokenLen <= self.maxTokenLen",
                "spec.payloadIndexes: minTokenLen is larger than maxTokenLen; lower it or raise maxTokenLen",
            ),
        )
    )

    field: Annotated[str, Field(min_length=1, max_length=255)]
    """Payload field; nested ones with dots, for example author.name."""
    type: IndexType
    """Type of the field's values. A change rebuilds the index."""
    is_tenant: bool | None = None
    """keyword, uuid: the field identifies the tenant; the points of a tenant are stored together."""
    is_principal: bool | None = None
    """integer, float, datetime: most queries filter by this field; storage is sorted by it."""
    lookup: bool | None = None
    """integer: supports exact matches; absent: true."""
    range: bool | None = None
    """integer: supports ranges; absent: true."""
    tokenizer: Literal["prefix", "whitespace", "word", "multilingual"] | None = None
    """text: how text is split into words; absent: word."""
    min_token_len: Count | None = None
    """text: shorter words are ignored."""
    max_token_len: Count | None = None
    """text: longer words are ignored."""
    lowercase: bool | None = None
    """text: whether case is ignored; absent: true."""
    phrase_matching: bool | None = None
    """text: supports phrases."""
    on_disk: bool | None = None
    """True: the index is read from disk instead of memory."""

    def schema_words(self) -> dict[str, Any]:
        """Qdrant's field_schema: the type and the options that were set."""
        return {key: value for key, value in self.words().items() if key != "field"}
