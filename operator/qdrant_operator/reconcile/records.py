"""Status read back as a value; what a newer release of the operator wrote into it is kept, and not acted upon."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError

from qdrant_operator.api.base import Model, Status
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.reconcile.ports import Manifest

AnyStatus = TypeVar("AnyStatus", bound=Status)


def read_status(model: type[AnyStatus], subject: Manifest) -> AnyStatus:
    """Status as a value; a field that this release does not understand is absent from the value, not from the object.

    So absence proves nothing where a decision rests on it: there `check_known` comes first.
    """
    present = subject.get("status") or {}
    try:
        return model.model_validate(present)
    except ValidationError as error:
        unclear = {str(problem["loc"][0]) for problem in error.errors()}
        return model.model_validate({k: value for k, value in present.items() if k not in unclear})


def check_known(record: Manifest, model: type[Model], where: str, until_then: str) -> None:
    """Refuse a record of which this release does not understand all; `until_then` is a sentence on what is not done.

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
            f"bring that release back. {until_then}"
        )
        raise Refused("NewerOperator", message[:1024])
