"""Records in status that a newer release of the operator wrote: kept, and not acted upon."""

from __future__ import annotations

from pydantic import ValidationError

from qdrant_operator.api.base import Model
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.reconcile.ports import Manifest


def check_known(record: Manifest, model: type[Model], where: str, meanwhile: str) -> None:
    """Refuse a record of which this release does not understand all; `meanwhile` says what goes on until then.

    Raises:
        Refused: `NewerOperator`.
    """
    problem = ", ".join(sorted(record.keys() - model.fields()))
    try:
        model.model_validate(record)
    except ValidationError as error:
        first = error.errors()[0]
        problem = f"{'.'.join(map(str, first['loc']))} {first['input']!r}"
    if problem:
        message = (
            f"{where} has what this release of the operator does not know ({problem}): a newer release wrote it; "
            f"bring that release back. {meanwhile}"
        )
        raise Refused("NewerOperator", message[:1024])
