"""Loopback addresses of pods."""

from __future__ import annotations

from pathlib import Path

from sandbox.node.network.addresses import Addresses


def test_an_address_belongs_to_a_name_for_ever(tmp_path: Path) -> None:
    """The same pod name keeps its address, also after the node has started anew; others get other ones."""
    addresses = Addresses(tmp_path / "addresses.json")
    first = addresses.of("default", "v-0")
    others = {addresses.of("default", f"w-{number}") for number in range(600)}
    addresses.close()
    again = Addresses(tmp_path / "addresses.json")
    assert again.of("default", "v-0") == first
    assert len(others | {first}) == 601
    again.close()


def test_two_sandboxes_share_no_address(tmp_path: Path) -> None:
    """Each node holds a network of its own, so pods of the same name do not collide."""
    one, other = Addresses(tmp_path / "one.json"), Addresses(tmp_path / "other.json")
    assert one.of("default", "v-0") != other.of("default", "v-0")
    one.close()
    other.close()
