"""Structured logs: one JSON object per line, with a constant message and the data in fields."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

_PLAIN = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """A record as JSON: time, level, logger, message, the fields given as `extra`, and the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without a newline."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": moment,
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields = {
            key: value for key, value in vars(record).items() if key not in _PLAIN and key[:4] != "k8s_"
        }
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        return json.dumps({**line, **fields}, default=str)


def configure(level: str) -> None:
    """Write all logs as JSON lines to stderr; those of kopf from WARNING on."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("kopf").setLevel(max(logging.WARNING, logging.getLevelName(level)))
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
