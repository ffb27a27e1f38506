"""A row of the mutation hunt that replaces nothing would count a guard as needless."""

from __future__ import annotations

import pytest

from sandbox.simulation.mutants import Mutant, mutants


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.guard)
def test_each_row_replaces_what_is_there(mutant: Mutant) -> None:
    """Each place still has the name that is replaced."""
    places = mutant.places()
    assert places
    assert [(place, name) for place, name, _ in places if not hasattr(place, name)] == []
