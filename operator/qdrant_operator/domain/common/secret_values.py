"""What a value from a Secret must be: one rule for API keys and storage keys, in the operator and in its Jobs.

`kubectl create secret --from-file` and `echo key | base64` leave a line break at the end of a value. One is taken
off. Anything else that an HTTP header cannot carry is refused: no client could ever send it.
"""

from __future__ import annotations

from qdrant_operator.domain.common.errors import Refused

LINE_BREAKS = (b"\r\n", b"\n")
DELETE = 0x7F
"""The last ASCII character, a control character."""


def clean_value(raw: bytes, what: str, *, harm: str = "") -> str:
    """A value without the line break at its end. The sentences never contain the value.

    Args:
        raw: the bytes of the value.
        what: where the value is, for the sentence.
        harm: what an empty value would do.

    Raises:
        Refused: `SecretEmpty` or `SecretValueInvalid`.
    """
    value = _without_line_break(raw)
    if not value.strip():
        raise Refused("SecretEmpty", f"{what} is empty: {f'{harm}; ' if harm else ''}put a value")
    flaw = _flaw(value)
    if flaw:
        raise Refused(
            "SecretValueInvalid",
            f"{what} {flaw}, so no client can send it: write a value of printable ASCII characters",
        )
    return value.decode("ascii")


def is_clean(raw: bytes) -> bool:
    """Whether a value can be used."""
    value = _without_line_break(raw)
    return bool(value.strip()) and not _flaw(value)


def _without_line_break(raw: bytes) -> bytes:
    ending = next((ending for ending in LINE_BREAKS if raw.endswith(ending)), b"")
    return raw.removesuffix(ending)


def _flaw(value: bytes) -> str:
    """Why an HTTP header cannot carry a value; empty: it can."""
    if any(byte > DELETE for byte in value):
        return "contains characters outside ASCII"
    if any(byte < ord(" ") or byte == DELETE for byte in value):
        return "contains a control character (one line break at its end is allowed)"
    return "begins or ends with a space" if value != value.strip() else ""
