"""Pure functions of the product, remembered within one run: their answers are the same, only sooner.

A run takes some hundred looks at a cluster whose spec seldom changes, and each look would build and compare
every manifest again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import wraps
from typing import Any

from qdrant_operator.api import ClusterSpec, CollectionSpec
from qdrant_operator.domain.cluster.wanted.desired import DesiredCluster
from qdrant_operator.domain.cluster.wanted.objects import wanted_objects
from qdrant_operator.domain.manifests.diff import differences, stamped
from qdrant_operator.domain.manifests.stateful_set import template_hash

Answers = dict[Any, tuple[Any, Any]]
PARTS = tuple(field.name for field in fields(DesiredCluster) if field.name != "spec")
"""What else a cluster's manifests are made of; a spec is compared by identity, because the loop keeps it."""
Place = tuple[Any, str, Any]
"""A module or class, a name in it, and what it is to be."""


@contextmanager
def remembered() -> Iterator[None]:
    """Within: the expensive pure functions answer from memory where they were asked the same before."""
    places = [*everywhere(wanted_objects, _by_desired(lambda desired: tuple(wanted_objects(desired))))]
    places += everywhere(template_hash, _by_desired(template_hash))
    places += everywhere(stamped, _by_identity(stamped))
    places += everywhere(differences, _by_identity(differences))
    places += [
        (model, "model_validate", _by_identity(model.model_validate))
        for model in (ClusterSpec, CollectionSpec)
    ]
    with patched(places):
        yield


@contextmanager
def patched(places: list[Place]) -> Iterator[None]:
    """Within: these names stand for something else.

    Raises:
        AttributeError: a place has no such name, so nothing would be replaced.
    """
    for place, name, _ in places:
        getattr(place, name)
    before = [(place, name, vars(place).get(name)) for place, name, _ in places]
    for place, name, new in places:
        setattr(place, name, new)
    try:
        yield
    finally:
        for place, name, old in before:
            if old is None:
                delattr(place, name)
            else:
                setattr(place, name, old)


def everywhere(function: Any, instead: Any) -> list[Place]:
    """Every module of the product that has this function, under whatever name."""
    modules = [module for name, module in sorted(sys.modules.items()) if name.startswith("qdrant_operator.")]
    return [
        (module, name, instead)
        for module in modules
        for name, value in list(vars(module).items())
        if value is function
    ]


def _by_identity(function: Callable[..., Any]) -> Callable[..., Any]:
    """Remember by the very objects that were given: they are kept, so no other can take their place."""
    answers: Answers = {}

    @wraps(function)
    def asked(*objects: Any) -> Any:
        key = tuple(map(id, objects))
        if key not in answers:
            answers[key] = (objects, function(*objects))
        return answers[key][1]

    return asked


def _by_desired(function: Callable[..., Any]) -> Callable[..., Any]:
    """Remember by what a cluster's manifests are made of."""
    answers: Answers = {}

    @wraps(function)
    def asked(desired: DesiredCluster) -> Any:
        key = (id(desired.spec), *(getattr(desired, name) for name in PARTS))
        if key not in answers:
            answers[key] = (desired, function(desired))
        return answers[key][1]

    return asked
