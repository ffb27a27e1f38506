"""The words of the product and its documentation: the field's terms, in the plain English of Kubernetes' own pages.

`REPLACED` lists what is not written, each with what to write instead. Pages and the whole
source of the product are checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = Path("operator", "qdrant_operator")

REPLACED: dict[str, str] = {
    # Reasons, guards, steps and fields that were renamed before the first release
    r"StrayPeers?|ForgetPeer|stray[_ ](replica|peer|id)s?": "OrphanedReplica, PurgePeerId, orphaned replica",
    r"NothingWaits": "NoBlockedSteps",
    r"NoQuorumWithout": "QuorumAtRisk",
    r"PeersCannotTalk": "PeerConnectivityLost",
    r"StatefulSetReminded|[Rr]emind(s|ed)? (of )?the StatefulSet": "StatefulSetRetriggered, retrigger the StatefulSet",
    r"find_damage": "find_drift",
    r"HoldDeletion|LetGo|farewell|custody": "AddFinalizer, RemoveFinalizer, plan_deletion, plan_finalizer",
    r"(take_)?[Cc]ensus": "classification",
    r"[Mm]ishaps?": "rare fault",
    # Phrases
    r"(?i)\banew\b": "again; made anew: recreated",
    r"(?i)\bon (its|their) way\b": "running, in progress",
    r"(?i)\bstands? (there )?(twice|in|beside|under|where|so|here|alone)\b": "is; stands twice: duplicate",
    r"(?i)\b(is|are|was|were|be) (waited|looked) (for|at|after)\b": "waiting for, observed",
    r"(?i)\blooks? after\b|\blooking after\b": "reconcile, manage",
    r"(?i)\bnobody\b": "no pod, no peer, no client",
    r"(?i)\bsomebody\b|\banybody\b|\beverybody\b": "a user, a client, every peer",
    r"(?i)\bwhoever\b|\banyhow\b": "the user that; anyway",
    r"(?i)\b(is|are|was|were|be) told\b|\btold (of|about|by|after)\b": "reported",
    r"(?i)\bcalls? \S+ done\b": "record X as complete",
    r"(?i)\bputs? back\b(?! into service)": "restore",
    r"(?i)\b(let|lets) go\b|\blet be\b": "remove the finalizer, skip",
    r"(?i)\btaken? away\b|\btakes? \S+ away\b": "removed, deleted",
    r"(?i)\bgo(es)? on\b|\bgoing on\b": "continue",
    r"(?i)\bhold(s|ing)? (\S+ )?(back|up)\b|\bheld (back|up)\b": "block, delay",
    r"(?i)\bmeanwhile\b": "in the meantime, or leave it out",
    r"(?i)\bfor ever\b|\bfor good\b": "permanently, without a limit",
    r"(?i)\bwish(es)?\b|\btroubles?\b(?!-|s?hoot)": "action; fault, problem",
    r"(?i)\bmends?\b|\bmended\b|\bmending\b": "repair",
    r"(?i)\bstrangers?\b|\boutsiders?\b": "detached peer",
    r"(?i)\bmembers? (of|in) (the|a|its|this) cluster\b|\bno members?\b": "peer; Raft's sense: voter",
    r"(?i)\bshall\b": "must, or the present tense",
    r"(?i)\bby our hand\b|\b(of|for) our own\b": "by the operator; the operator's own",
    r"(?i)\bone word for people\b": "summary for display",
    r"(?i)\bunheard\b|\bdeaf\b": "unaware of its removal, delayed",
}
"""Pattern → what to write. Patterns of identifiers are case-sensitive. A space also matches a line break."""

FORMATS = re.compile(r'"nobody"|/nobody\b')
"""Keys and values that must stay between releases: the ConfigMap's entry with a URI that no peer has."""

GENERATED = re.compile(r"<!-- table of guards -->.*?<!-- end of the table -->", re.DOTALL)
"""Output of the mutation hunt in docs/reliability-simulation.md: the words are those of sandbox/simulation."""


def pages() -> list[Path]:
    """Every text that users and contributors read, except the source."""
    files = [
        ROOT / name
        for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "e2e/README.md", "bench/README.md")
    ]
    for folder in ("docs", "charts", "examples", "crds", "changelog.d"):
        files += [path for path in (ROOT / folder).rglob("*") if path.is_file() and path.suffix != ".tgz"]
    return sorted(path.relative_to(ROOT) for path in files)


def sources() -> list[Path]:
    """Every Python file of the product."""
    return sorted(path.relative_to(ROOT) for path in (ROOT / PACKAGE).rglob("*.py"))


def findings(path: Path) -> Iterator[str]:
    """Replaced words in a file: line, word, what to write."""
    text = GENERATED.sub(lambda table: "\n" * table[0].count("\n"), (ROOT / path).read_text())
    text = FORMATS.sub("", text)
    for pattern, instead in REPLACED.items():
        for match in re.finditer(pattern.replace(" ", r"\s+"), text):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{path}:{line}: {match[0]!r}; write: {instead}"


@pytest.mark.parametrize("path", pages(), ids=str)
def test_pages_use_the_fields_words(path: Path) -> None:
    """No page has a replaced word."""
    assert list(findings(path)) == []


@pytest.mark.parametrize("path", sources(), ids=str)
def test_sources_use_the_fields_words(path: Path) -> None:
    """No identifier, docstring, comment or message has a replaced word."""
    assert list(findings(path)) == []
