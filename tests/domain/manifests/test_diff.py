"""Live objects are compared by the fields that we set."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdrant_operator.domain.manifests.diff import differences, quantity, stamped

JSON = st.recursive(
    st.booleans() | st.integers(-5, 5) | st.text(max_size=3).filter(bool),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, min_size=1, max_size=3),
    max_leaves=12,
)


@given(JSON)
def test_an_object_never_differs_from_itself(value: object) -> None:
    """No object is put back when it says what was applied."""
    assert differences(value, value) == ()


def test_defaults_and_foreign_fields_are_left_alone() -> None:
    """Fields that the server or others added are not ours."""
    desired = {"spec": {"ports": [{"name": "rest", "port": 6333}]}}
    live = {"spec": {"ports": [{"name": "rest", "port": 6333, "nodePort": 30001}], "clusterIP": "10.0.0.1"}}
    assert differences(desired, live) == ()


@pytest.mark.parametrize(
    ("desired", "live", "path"),
    [
        ({"spec": {"replicas": 3}}, {"spec": {"replicas": 1}}, "spec.replicas"),
        ({"spec": {"selector": {"a": "b"}}}, {"spec": {"selector": {"a": "b", "c": "d"}}}, "spec.selector"),
        ({"data": {"start.sh": "x"}}, {"data": {}}, "data.start.sh"),
        ({"spec": {"ports": [{"name": "rest", "port": 1}]}}, {"spec": {"ports": []}}, "spec.ports[rest]"),
        ({"command": ["/bin/sh", "a"]}, {"command": ["/bin/sh"]}, "command"),
    ],
)
def test_a_damaged_field_is_named(desired: object, live: object, path: str) -> None:
    """The path of the damage is what the Event and the plan show."""
    assert path in differences(desired, live)


def test_quantities_are_compared_by_value() -> None:
    """The server writes 1Gi where we wrote 1024Mi: that is no damage."""
    assert differences({"requests": {"memory": "1024Mi"}}, {"requests": {"memory": "1Gi"}}) == ()
    assert differences({"requests": {"memory": "1Gi"}}, {"requests": {"memory": "2Gi"}}) == (
        "requests.memory",
    )


@pytest.mark.parametrize(("text", "value"), [("500m", 0.5), ("1Gi", 2**30), ("2", 2), ("1e3", 1000)])
def test_quantities_read_as_kubernetes_reads_them(text: str, value: float) -> None:
    """Suffixes of resource.Quantity."""
    number = quantity(text)
    assert number is not None
    assert float(number) == value


def test_a_field_that_we_stop_setting_changes_the_stamp() -> None:
    """The live object still has the field; only the hash tells that it has to go."""
    before = stamped({"metadata": {"name": "a"}, "spec": {"x": 1}})
    after = stamped({"metadata": {"name": "a"}, "spec": {}})
    assert differences(after, before) != ()
