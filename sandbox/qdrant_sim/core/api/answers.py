"""Answers as Qdrant gives them: envelopes, error texts and status codes; and answers that come later."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Any


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request as the core sees it; `segments` are unquoted."""

    method: str
    segments: tuple[str, ...]
    query: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None
    """What came as `api-key` or as bearer token."""
    body: Json = None
    raw: bytes = b""

    @property
    def timeout(self) -> float:
        """How long a consensus call may wait: 10 s unless told."""
        return float(self.query.get("timeout") or 10)

    @property
    def wait(self) -> bool:
        """Whether a write waits until it is applied; not, unless told."""
        return self.query.get("wait") == "true"


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    body: Json = None
    text: str | None = None
    stream: Callable[[], Iterator[bytes]] | None = None
    length: int = 0
    """Bytes of `stream`."""
    dropped: bool = False
    """The server closes the connection without a word."""


class Fault(Exception):  # noqa: N818 (an answer, not an accident)
    """An error answer."""

    def __init__(self, status: int, message: str, after: float = 0.0) -> None:
        """`after`: seconds until the caller hears of it."""
        super().__init__(message)
        self.status, self.message, self.after = status, message, after

    @property
    def answer(self) -> Answer:
        """The answer that carries it."""
        return Answer(self.status, {"status": {"error": self.message}, "time": 0.0})


class Later:
    """An answer that comes later; resolved once, told to whoever asked."""

    def __init__(self) -> None:
        """Nobody has answered yet."""
        self.answer: Answer | None = None
        self._asking: list[Callable[[Answer], None]] = []

    def resolve(self, answer: Answer) -> None:
        """Answer; a second answer is ignored."""
        if self.answer is None:
            self.answer = answer
            for tell in self._asking:
                tell(answer)

    def then(self, tell: Callable[[Answer], None]) -> None:
        """Hear the answer, now or later."""
        if self.answer is not None:
            tell(self.answer)
        else:
            self._asking.append(tell)


Reply = Answer | Later


def ok(result: Json) -> Answer:
    """200 in Qdrant's envelope."""
    return Answer(200, {"result": result, "status": "ok", "time": 0.0})


def plain(text: str, status: int = 200) -> Answer:
    """A text answer."""
    return Answer(status, text=text)


def bad_request(message: str) -> Fault:
    """400: the cluster's state forbids it."""
    return Fault(400, f"Bad request: {message}")


def wrong_input(message: str) -> Fault:
    """400: the request is wrong in itself."""
    return Fault(400, f"Wrong input: {message}")


def malformed(message: str, column: int) -> Fault:
    """400: serde could not read the body."""
    return Fault(400, f"Format error in JSON body: {message} at line 1 column {column}")


def invalid(where: str, message: str) -> Fault:
    """422: a field breaks its bounds."""
    return Fault(422, f"Validation error in {where}: [{message}]")


def not_found(message: str) -> Fault:
    """404."""
    return Fault(404, f"Not found: {message}")


def no_collection(name: str) -> Fault:
    """404 for a collection."""
    return not_found(f"Collection `{name}` doesn't exist!")


def internal(message: str, after: float = 0.0) -> Fault:
    """500."""
    return Fault(500, f"Service internal error: {message}", after)


def conflict(message: str) -> Fault:
    """409."""
    return Fault(409, f"Wrong input: {message}")
