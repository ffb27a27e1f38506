"""The table of images."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sandbox.node.pods.images import Image, Runs, UnknownImageError, find_image, split_reference
from sandbox.node.pods.launch import command_line


@pytest.mark.parametrize(
    ("reference", "wanted"),
    [
        ("docker.io/qdrant/qdrant:v1.19.0", ("docker.io/qdrant/qdrant", "v1.19.0")),
        ("localhost:5000/qdrant", ("localhost:5000/qdrant", "latest")),
        ("qdrant:v1.19.0@sha256:aa", ("qdrant", "v1.19.0")),
        ("busybox", ("busybox", "latest")),
    ],
)
def test_references(reference: str, wanted: tuple[str, str]) -> None:
    """A registry's port is no tag, and a digest is dropped."""
    assert split_reference(reference) == wanted


def test_qdrant_runs_the_binary_or_a_simulated_peer() -> None:
    """Without a binary the same image is a simulated peer."""
    assert find_image("qdrant/qdrant:v1.19.0", Path("/bin/qdrant")).runs is Runs.QDRANT
    assert find_image("qdrant/qdrant:v1.19.0", None).runs is Runs.SIMULATED_PEER


def test_the_operators_image_is_this_python() -> None:
    """Its entrypoint is the package's command line."""
    image = find_image("ghcr.io/any/qdrant-operator:v0.1.0", None)
    assert image.entrypoint == (sys.executable, "-m", "qdrant_operator")


def test_a_program_below_a_mounted_folder_is_still_found() -> None:
    """A checkout below /tmp runs Jobs that mount something at /tmp: only the pod's own words are translated."""
    image = Image(Runs.PROGRAM, ("/tmp/checkout/python", "-m", "tool"))
    container = {"args": ["--to", "/tmp/out"]}
    found = command_line(container, image, lambda part: part.replace("/tmp", "/pods/1/tmp"))
    assert found == ("/tmp/checkout/python", "-m", "tool", "--to", "/pods/1/tmp/out")


@pytest.mark.parametrize("reference", ["qdrant/qdrant:v9.99.0", "qdrant/qdrant", "nowhere.example/thing:1"])
def test_unknown_images_say_what_was_not_found(reference: str) -> None:
    """An unknown repository or tag is refused with the reference in the message."""
    with pytest.raises(UnknownImageError, match=r"failed to pull image .*not found"):
        find_image(reference, None)
