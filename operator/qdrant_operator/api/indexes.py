"""Payload indexes: which payload fields can be filtered by quickly, and how.

No I/O here. Attribute names are those of Qdrant's REST API.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from qdrant_operator.api.base import Model
from qdrant_operator.api.tuning import Count

IndexType = Literal["keyword", "integer", "float", "bool", "datetime", "uuid", "geo", "text"]


class PayloadIndex(Model):
    """An index on one payload field."""

    field: Annotated[str, Field(min_length=1, max_length=255)]
    """Payload field; nested ones with dots, for example author.name."""
    type: IndexType
    """What the field holds. A change of type rebuilds the index."""
    is_tenant: bool | None = None
    """keyword, uuid: the field tells tenants apart; points of a tenant are stored together."""
    is_principal: bool | None = None
    """integer, float, datetime: most queries filter by this field; storage is ordered by it."""
    lookup: bool | None = None
    """integer: supports exact matches; absent: true."""
    range: bool | None = None
    """integer: supports ranges; absent: true."""
    tokenizer: Literal["prefix", "whitespace", "word", "multilingual"] | None = None
    """text: how words are told apart; absent: word."""
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
