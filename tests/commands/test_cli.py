"""The commands as a user runs them, on recorded states: golden outputs are those of docs/cli.md."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from qdrant_operator.cli import main
from qdrant_operator.commands import recording
from tests.commands.worlds import STATES, recorded, settled, silent, wanting

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
BLOCK = re.compile(r"<!-- state: (\w+) -->\n```console\n\$ qdrant-operator ([^\n]*)\n(.*?)```", re.DOTALL)
EXAMPLES = [match.groups() for match in BLOCK.finditer(PAGE.read_text())]


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither this machine's kubeconfig nor a service account."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def saved(folder: Path, found: recording.Recording) -> str:
    """A state as a file."""
    path = folder / "state.json"
    path.write_text(recording.dump(found))
    return str(path)


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of one command."""
    code = main(arguments)
    told = capsys.readouterr()
    return code, told.out, told.err


def test_the_page_has_every_state() -> None:
    """Each state is shown at least once, and every example names one."""
    assert {state for state, _, _ in EXAMPLES} == set(STATES)
    assert PAGE.read_text().count("$ qdrant-operator") == len(EXAMPLES)


@pytest.mark.parametrize(("state", "command", "shown"), EXAMPLES, ids=[f"{s}: {c}" for s, c, _ in EXAMPLES])
def test_the_page_shows_real_output(
    state: str, command: str, shown: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What docs/cli.md shows is what the command prints for that state."""
    file = saved(tmp_path, STATES[state]())
    _, out, err = answer(capsys, *command.split(), "--from", file)
    assert out + err == shown


def test_many_peers_go_below_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where not all columns fit, the grid goes on below; every peer has its column once."""
    found = recorded(24, {0: (0, 23), 1: (11, 12)})
    _, out, _ = answer(capsys, "status", "--from", saved(tmp_path, found))
    heads = [line.split()[2:] for line in out.splitlines() if line.split()[:2] == ["shard", "size"]]
    assert len(heads) == 2
    assert [number for head in heads for number in head] == [str(n) for n in range(24)]
    rows = [line for line in out.splitlines() if re.match(r" +[01] +64.0 MiB ", line)]
    assert [row.count("A") for row in rows] == [1, 2, 1, 0]


def test_colours_are_for_terminals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Letters are coloured on a terminal, not with NO_COLOR; without the codes the text is the same."""
    file = saved(tmp_path, silent(settled(), 1))
    plain = answer(capsys, "status", "--from", file)[1]
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "110")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = answer(capsys, "status", "--from", file)[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert answer(capsys, "status", "--from", file)[1] == plain
    assert "\033[32mA\033[0m" in coloured
    assert "\033[31ma\033[0m" in coloured
    assert re.sub("\033\\[[0-9]+m", "", coloured) == plain


def test_a_paused_cluster_is_seen_and_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing would be done, and the reason is on the page."""
    file = saved(tmp_path, wanting(settled(), replicas=5, paused=True))
    _, out, _ = answer(capsys, "plan", "--from", file)
    assert "spec.paused is true: the operator changes nothing." in out
    assert out.endswith("NOW\n  nothing\n")
    assert json.loads(answer(capsys, "plan", "--from", file, "--output", "json")[1])["steps"] == []


def test_json_says_what_text_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every step, wait and forecast step of the text is in the JSON, in the same order and words."""
    file = saved(tmp_path, STATES["shrinking"]())
    text = answer(capsys, "plan", "--from", file)[1]
    document = json.loads(answer(capsys, "plan", "--from", file, "--output", "json")[1])
    told = [
        *(step["text"] for step in document["steps"]),
        *(
            word
            for wait in document["blocked"]
            for word in (wait["step"], f"{wait['guard']}: {wait['message']}")
        ),
        *(step["text"] for step in document["later"]["steps"]),
    ]
    assert len(told) > 5
    place = 0
    for sentence in told:
        place = text.index(sentence, place) + 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["plan"], "give the name of a QdrantCluster, or a saved state with --from FILE"),
        (["status"], "give the name of a QdrantCluster, or a saved state with --from FILE"),
        (["plan", "vectors", "--what-if", "replicas"], "write FIELD=VALUE, for example replicas=5"),
        (["plan", "vectors"], "~/.kube/config gives no access"),
        (["plan", "--from", "/nowhere/state.json"], "No such file or directory: '/nowhere/state.json'"),
    ],
)
def test_what_fails_is_said(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Exit code 2, nothing on standard output, one sentence on standard error."""
    code, out, err = answer(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("qdrant-operator: ")
    assert sentence in err or sentence.replace("~", str(tmp_path / "home")) in err
    assert err.count("\n") == 1
