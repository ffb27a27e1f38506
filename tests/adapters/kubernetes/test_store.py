"""The cache never goes back in time, whatever order writes' answers and watch events arrive in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qdrant_operator.adapters.kubernetes.store import Store, remains
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.kinds import Kind, Manifest


def _pod(version: int, *, uid: str = "a", name: str = "vectors-0", cluster: str = "vectors") -> Manifest:
    return {
        "metadata": {
            "namespace": "here",
            "name": name,
            "uid": uid,
            "resourceVersion": str(version),
            "labels": names.cluster_labels(cluster),
            "managedFields": [{"manager": "somebody"}],
        }
    }


def _version(store: Store) -> int | None:
    known = store.one(Kind.POD, "here", "vectors-0")
    return int(known["metadata"]["resourceVersion"]) if known else None


def test_an_older_event_never_overwrites_an_own_write() -> None:
    """The answer of a write is newer than events that were on their way; numbers, not words, are compared."""
    store = Store()
    store.put(Kind.POD, _pod(100))
    assert store.put(Kind.POD, _pod(99)) is None
    assert store.put(Kind.POD, _pod(100)) is None

    assert _version(store) == 100


def test_an_older_incarnation_never_overwrites_its_successor() -> None:
    """Neither a late change nor the late end of a former object of the same name touches the new one."""
    store = Store()
    store.put(Kind.POD, _pod(100, uid="new"))
    assert store.put(Kind.POD, _pod(50, uid="old")) is None
    assert store.drop(Kind.POD, _pod(60, uid="old")) is None
    assert store.gone(Kind.POD, "here", "vectors-0", "old") is None

    assert _version(store) == 100


def test_what_is_gone_stays_gone() -> None:
    """After a successful DELETE no event of that object brings it back, a successor does."""
    store = Store()
    store.put(Kind.POD, _pod(5))
    store.gone(Kind.POD, "here", "vectors-0", "a")
    store.put(Kind.POD, _pod(6))
    assert _version(store) is None

    store.put(Kind.POD, _pod(7, uid="b"))
    assert _version(store) == 7


def test_a_list_ends_a_burial() -> None:
    """One answer of 404 that was not true does not hide an object for as long as the process lives."""
    store = Store()
    store.put(Kind.POD, _pod(5))
    store.gone(Kind.POD, "here", "vectors-0", "a")
    store.replace(Kind.POD, "", [_pod(5)], 10)
    assert _version(store) == 5


def test_an_object_that_lost_our_label_can_come_back() -> None:
    """Losing the label looks like DELETED to the watch; the same uid with a newer version is welcome again."""
    store = Store()
    store.put(Kind.POD, _pod(5))
    store.drop(Kind.POD, _pod(6))
    assert _version(store) is None
    store.put(Kind.POD, _pod(5))
    assert _version(store) is None
    store.put(Kind.POD, _pod(7))

    assert _version(store) == 7


def test_a_new_list_removes_what_it_lacks_but_not_what_is_newer() -> None:
    """After a gap deletions are noticed; an object written after the list was taken stays."""
    store = Store()
    told: list[tuple[str, bool]] = []
    store.put(Kind.POD, _pod(5, name="vectors-0"))
    store.put(Kind.POD, _pod(20, uid="b", name="vectors-1"))
    store.put(Kind.POD, _pod(6, uid="c", name="vectors-2"))
    store.listen(
        lambda _kind, old, new: told.append(((new or old or {})["metadata"]["name"], new is not None))
    )
    store.replace(Kind.POD, "", [_pod(9, uid="c", name="vectors-2"), _pod(8, uid="d", name="vectors-3")], 10)

    assert [p["metadata"]["name"] for p in store.all(Kind.POD, "here", {})] == [
        "vectors-1",
        "vectors-2",
        "vectors-3",
    ]
    assert told == [("vectors-0", False), ("vectors-2", True), ("vectors-3", True)]


def test_a_list_of_one_namespace_leaves_the_others() -> None:
    """A namespaced watch that lists again knows nothing of other namespaces."""
    store = Store()
    store.put(Kind.POD, _pod(5))
    store.replace(Kind.POD, "elsewhere", [], 100)
    assert _version(store) == 5
    store.replace(Kind.POD, "here", [], 100)
    assert _version(store) is None


def test_objects_are_found_by_cluster_also_after_a_change_of_labels() -> None:
    """The index by cluster follows the labels."""
    store = Store()
    store.put(Kind.POD, _pod(5, cluster="vectors"))
    store.put(Kind.POD, _pod(6, cluster="other"))

    assert store.all(Kind.POD, "here", {names.LABEL_INSTANCE: "vectors"}) == ()
    assert len(store.all(Kind.POD, "here", {names.LABEL_INSTANCE: "other"})) == 1
    store.drop(Kind.POD, _pod(7))
    assert store.all(Kind.POD, "here", {names.LABEL_INSTANCE: "other"}) == ()


def test_only_what_a_watch_refreshes_is_kept() -> None:
    """An owned object without our label, and kinds nobody watches, would grow stale here."""
    store = Store()
    stranger = _pod(5)
    stranger["metadata"]["labels"] = {}
    assert store.put(Kind.POD, stranger) is None
    assert store.put(Kind.LEASE, _pod(5)) is None
    assert store.put(Kind.CLUSTER, stranger) is not None


def test_a_claim_is_kept_by_its_name_and_other_objects_by_our_label() -> None:
    """Of claims nobody's label counts; those that no cluster's pods would take are left out."""
    store = Store()
    for name in ("storage-vectors-0", "storage-a-b-12", "storage-0", "data-vectors-0"):
        made = {"namespace": "here", "name": name, "uid": name, "resourceVersion": "1"}
        store.put(Kind.CLAIM, {"metadata": made})
        store.put(Kind.SECRET, {"metadata": made})

    kept = [claim["metadata"]["name"] for claim in store.all(Kind.CLAIM, "here", {})]
    assert kept == ["storage-a-b-12", "storage-vectors-0"]
    assert store.all(Kind.SECRET, "here", {}) == ()
    assert [names.cluster_of_claim(name) for name in kept] == ["a-b", "vectors"]


def test_managed_fields_are_not_kept() -> None:
    """They are half of a small object and nobody reads them."""
    store = Store()
    given_one = _pod(5)
    store.put(Kind.POD, given_one)
    known = store.one(Kind.POD, "here", "vectors-0")

    assert known is not None
    assert "managedFields" not in known["metadata"]
    assert "managedFields" in given_one["metadata"]


def test_a_failing_listener_spoils_neither_store_nor_others() -> None:
    """One odd object must not end the watch of its kind."""
    store = Store()
    heard: list[Kind] = []

    def broken(*_: object) -> None:
        raise KeyError("odd object")

    store.listen(broken)
    store.listen(lambda kind, _old, _new: heard.append(kind))
    store.put(Kind.POD, _pod(5))

    assert _version(store) == 5
    assert heard == [Kind.POD]


def test_a_listener_that_begins_late_hears_of_what_is_there() -> None:
    """An operator that leads after its caches are full acts on the objects that nothing changes any more."""
    store = Store()
    store.put(Kind.POD, _pod(5))
    heard: list[tuple[bool, bool]] = []
    store.listen_from_the_start(lambda _kind, old, new: heard.append((old is None, new is None)))
    store.put(Kind.POD, _pod(6))

    assert heard == [(True, False), (False, False)]


def test_what_remains_after_a_delete_is_told_by_finalizers_or_grace() -> None:
    """A Status, or an object with neither, is gone."""
    deleted = {"deletionTimestamp": "2026-01-01T00:00:00Z"}

    assert not remains({"kind": "Status"})
    assert not remains({"kind": "Pod", "metadata": {**deleted, "deletionGracePeriodSeconds": 0}})
    assert remains({"kind": "Pod", "metadata": {**deleted, "deletionGracePeriodSeconds": 30}})
    assert remains({"kind": "ConfigMap", "metadata": {**deleted, "finalizers": ["x"]}})


@given(st.permutations(range(1, 8)), st.integers(0, 7), st.booleans())
def test_any_order_of_arrival_ends_at_the_newest(order: list[int], ended_at: int, twice: bool) -> None:
    """However the versions of one object are shuffled and repeated, the store ends where the server did."""
    store = Store()
    for version in [*order, *(order if twice else [])]:
        event = _pod(version)
        _ = store.drop(Kind.POD, event) if version == ended_at else store.put(Kind.POD, event)

    assert _version(store) == (None if ended_at == 7 else 7)
