"""The start script, run by this machine's shell on folders of its own."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from qdrant_operator.domain.cluster.wanted.versions import NEWER_VOLUME, OLDER_VOLUME
from qdrant_operator.domain.manifests.start_script import RELEASE_FILE, START_SCRIPT

URI = "http://{}.vectors-peers.default.svc:6335"
FIRST = {"QDRANT_FIRST_POD": "vectors-0", "POD_IPS": "127.0.0.1", "QDRANT_PEERS_HOST": "127.0.0.1"}
"""Environment of the pod that forms the cluster; the headless Service lists it and nobody else."""
STUB = '#!/bin/sh\nprintf "%s\\n" "$@"\n'


@dataclass(frozen=True)
class Pod:
    """The folders of a pod."""

    root: Path

    def start(self, pod: str = "vectors-1", **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script as this pod."""
        script = self.root / "start.sh"
        here = START_SCRIPT.replace("/qdrant/", f"{self.root}/").replace("cd /qdrant\n", f"cd {self.root}\n")
        script.write_text(here)
        env = {"PATH": "/usr/bin:/bin", "POD_NAME": pod, "QDRANT_PEER_URI": URI.format(pod), **environment}
        return subprocess.run(
            ["/bin/sh", script], env=env, capture_output=True, text=True, timeout=60, check=False
        )

    def write(self, name: str, text: str) -> None:
        """A file of the ConfigMap."""
        (self.root / "operator" / name).write_text(text)

    @property
    def note(self) -> Path:
        """The release on the volume."""
        return Path(RELEASE_FILE.replace("/qdrant/", f"{self.root}/"))


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    """A pod with an empty volume, one of three members."""
    for folder in ("operator", "init", "storage"):
        (tmp_path / folder).mkdir()
    (tmp_path / "qdrant").write_text(STUB)
    (tmp_path / "qdrant").chmod(0o755)
    made = Pod(tmp_path)
    made.write("members", "".join(f"{URI.format(f'vectors-{n}')}\n" for n in range(3)))
    made.write("nobody", f"{URI.format('nobody')}\n")
    made.write("allowed-downgrade", "\n")
    made.write("first-pod", "\n")
    return made


def test_every_start_tries_another_member(pod: Pod) -> None:
    """Never itself, in turn."""
    targets = [pod.start().stdout.splitlines()[-1] for _ in range(3)]
    assert targets == [URI.format("vectors-0"), URI.format("vectors-2"), URI.format("vectors-0")]


def test_the_volume_remembers_the_highest_release(pod: Pod) -> None:
    """A patch, the next minor and the same release start, and are noted."""
    for release in ("v1.18.0", "v1.18.0", "v1.18.3", "v1.19.0"):
        assert pod.start(QDRANT_RELEASE=release).returncode == 0
        assert pod.note.read_text() == f"{release}\n"


@pytest.mark.parametrize(
    ("written", "release", "words"),
    [
        ("v1.19.0", "v1.17.0", NEWER_VOLUME),
        ("v1.19.1", "v1.19.0", NEWER_VOLUME),
        ("v2.0.0", "v1.99.9", NEWER_VOLUME),
        ("v1.17.0", "v1.19.0", OLDER_VOLUME),
        ("v1.9.0", "v1.19.0", OLDER_VOLUME),
        ("v1.19.0", "v2.0.0", OLDER_VOLUME),
    ],
)
def test_a_volume_of_another_release_is_not_touched(pod: Pod, written: str, release: str, words: str) -> None:
    """Qdrant is not started, the note stays, and the last words say why and what to do."""
    pod.note.write_text(f"{written}\n")
    ended = pod.start(QDRANT_RELEASE=release)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert words in ended.stderr
    assert written in ended.stderr
    assert "set spec.version to" in ended.stderr
    assert len(ended.stderr) < 400, "the operator shows no more of it"
    assert pod.note.read_text() == f"{written}\n"


@pytest.mark.parametrize("written", ["", "dev", "v1.x", "1.19.0", "v1.19.0"])
def test_only_what_is_provably_newer_is_refused(pod: Pod, written: str) -> None:
    """A note that cannot be read, or that is written otherwise, keeps no peer down."""
    pod.note.write_text(written)
    assert pod.start(QDRANT_RELEASE="v1.19.0").returncode == 0
    assert pod.note.read_text().strip() == "v1.19.0"


def test_a_pod_that_does_not_know_its_release_starts(pod: Pod) -> None:
    """And notes nothing."""
    pod.note.write_text("v1.19.0\n")
    assert pod.start().returncode == 0
    assert pod.start(QDRANT_RELEASE="dev").returncode == 0
    assert pod.note.read_text() == "v1.19.0\n"


def test_a_downgrade_that_the_user_allowed_starts_and_is_noted(pod: Pod) -> None:
    """Exactly the release that was named."""
    pod.note.write_text("v1.19.0\n")
    pod.write("allowed-downgrade", "v1.18.1\n")
    assert pod.start(QDRANT_RELEASE="v1.18.0").returncode == 1
    assert pod.start(QDRANT_RELEASE="v1.18.1").returncode == 0
    assert pod.note.read_text() == "v1.18.1\n"


def test_a_note_that_cannot_be_written_keeps_no_peer_down(pod: Pod) -> None:
    """A full disk: Qdrant itself says so."""
    pod.note.mkdir()
    (pod.note / "file").write_text("")
    started = pod.start(QDRANT_RELEASE="v1.19.0")
    assert started.returncode == 0
    assert "--bootstrap" in started.stdout


def starts_alone(pod: Pod, **changes: str) -> bool:
    """Whether vectors-0 starts without a member to join."""
    return "--bootstrap" not in pod.start("vectors-0", **{**FIRST, **changes}).stdout


def test_only_the_pod_that_template_and_config_map_name_starts_alone(pod: Pod) -> None:
    """Either of the two takes the permission away, the ConfigMap under a running pod."""
    pod.write("first-pod", "vectors-0\n")
    assert starts_alone(pod)
    assert not starts_alone(pod, QDRANT_FIRST_POD="")
    assert "--bootstrap" in pod.start("vectors-1", **FIRST).stdout
    pod.write("first-pod", "\n")
    assert not starts_alone(pod)
    (pod.root / "operator" / "first-pod").unlink()
    assert not starts_alone(pod)


def test_a_pod_whose_peer_ran_forms_no_cluster_on_an_empty_volume(pod: Pod) -> None:
    """Also where the ConfigMap still permits it: the kubelet brings changes late."""
    pod.write("first-pod", "vectors-0\n")
    (pod.root / "init" / "initialized").write_text("")
    state = pod.root / "storage" / "raft_state.json"
    state.write_text("{}")
    assert not starts_alone(pod), "Qdrant ignores --bootstrap where its own Raft state is"
    state.unlink()
    (pod.root / "init" / "initialized").unlink()  # Qdrant does so when it starts
    assert "its volume is empty now; delete the pod" in pod.start("vectors-0", **FIRST).stderr
    state.write_text("{}")  # a join that failed leaves one, of no cluster
    assert not starts_alone(pod)


def test_a_pod_does_not_form_a_cluster_beside_other_peers(pod: Pod) -> None:
    """The headless Service lists pods from the moment that they have an address."""
    pod.write("first-pod", "vectors-0\n")
    assert not starts_alone(pod, POD_IPS="127.0.0.9,::1")
    assert starts_alone(pod, POD_IPS="::1,127.0.0.1")
    assert starts_alone(pod, QDRANT_PEERS_HOST="")
