"""What may stand in a Secret, and what is refused in words that do not contain it."""

from __future__ import annotations

import pytest

from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.common.secret_values import clean_value, is_clean

WHERE = "key 'api-key' of Secret 'search-key'"


@pytest.mark.parametrize("raw", [b"x7qz9", b"x7qz9\n", b"x7qz9\r\n"])
def test_one_line_break_at_the_end_is_an_accident(raw: bytes) -> None:
    """`echo key | base64` and `--from-file` leave one."""
    assert clean_value(raw, WHERE) == "x7qz9"
    assert is_clean(raw)


@pytest.mark.parametrize(
    ("raw", "flaw"),
    [
        (b"x7qz9\n\n", "a control character"),
        (b"x7qz9\r", "a control character"),
        (b"x7\nqz9", "a control character"),
        (b"x7\tqz9", "a control character"),
        (b"x7qz9\x7f", "a control character"),
        (b"x7qz9\x00", "a control character"),
        (b" x7qz9", "begins or ends with a space"),
        (b"x7qz9 ", "begins or ends with a space"),
        (b"x7qz9 \n", "begins or ends with a space"),
        ("x7qé9".encode(), "characters outside ASCII"),
        (b"x7qz9\xff", "characters outside ASCII"),
    ],
)
def test_what_no_header_can_carry_is_refused(raw: bytes, flaw: str) -> None:
    """The sentence has the place, the flaw and the remedy, and not a character of the value."""
    with pytest.raises(Refused) as refused:
        clean_value(raw, WHERE)
    assert refused.value.reason == "SecretValueInvalid"
    assert refused.value.message.startswith(f"{WHERE} ")
    assert flaw in refused.value.message
    assert "write a value of printable ASCII characters" in refused.value.message
    assert not is_clean(raw)
    assert all(part not in refused.value.message for part in ("x7", "z9", "\n", "\xff"))


@pytest.mark.parametrize("raw", [b"", b"\n", b"\r\n", b" ", b" \n"])
def test_an_empty_value_is_refused(raw: bytes) -> None:
    """With what it would do."""
    with pytest.raises(Refused, match="is empty: Qdrant would start open; put a value") as refused:
        clean_value(raw, WHERE, harm="Qdrant would start open")
    assert refused.value.reason == "SecretEmpty"
    assert not is_clean(raw)
