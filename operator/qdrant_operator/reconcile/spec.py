"""A spec as a value, or the field that the models refuse."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import ValidationError

from qdrant_operator.api.base import Model
from qdrant_operator.domain.common.errors import Refused

OLD_CRDS = "; correct it, and upgrade the CRDs: they should have refused it"
Spec = TypeVar("Spec", bound=Model)


def read_spec(model: type[Spec], given: Any, *, of: str = "") -> Spec:
    """The spec as a value; `of` names its object in a sentence about another object.

    Raises:
        Refused: `InvalidSpec`: the check of the API server was bypassed, or its CRDs are of another release.
    """
    try:
        return model.model_validate(given)
    except ValidationError as error:
        problem = error.errors()[0]
        field = ".".join(map(str, ("spec", *problem["loc"])))
        raise Refused("InvalidSpec", f"{of}{field}: {problem['msg']}{OLD_CRDS}") from error
