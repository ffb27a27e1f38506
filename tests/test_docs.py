"""The documentation, compared with the code: reasons, metrics and links are there, and nothing else is claimed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from qdrant_operator.adapters.metrics import Metrics
from qdrant_operator.domain.cluster import conditions as cluster_conditions
from qdrant_operator.domain.collection import conditions as collection_status
from qdrant_operator.domain.collection import steps as collection_steps
from qdrant_operator.domain.common.guards import ClusterGuard

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "operator" / "qdrant_operator"
PAGES = sorted(
    path for folder in (".", "docs", "charts", "changelog.d", "bench", "e2e", "examples")
    for path in (ROOT / folder).glob("*.md" if folder == "." else "**/*.md")
)  # fmt: skip
ENUMS = (
    ClusterGuard,
    cluster_conditions.Reason,
    collection_status.Reason,
    collection_steps.CollectionGuard,
)


def raised(path: Path) -> Iterator[str]:
    """Reasons that a module gives to `Refused` and to results of a snapshot's run, as literals."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        if node.func.id in ("Refused", "Result") and node.args and isinstance(node.args[0], ast.Constant):
            yield str(node.args[0].value)


def reasons() -> set[str]:
    """Every reason and guard that users can meet."""
    source = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    closed = {
        member.value for words in ENUMS for member in words if f"{words.__name__}.{member.name}" in source
    }
    return closed | {word for path in PACKAGE.rglob("*.py") for word in raised(path)}


def documented() -> set[str]:
    """Words in the first column of the tables of the troubleshooting page."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    cells = re.findall(r"^\| (`[^|]+) \|", page, re.MULTILINE)
    return {word for cell in cells for word in re.findall(r"`(\w+)`", cell)}


def test_every_reason_is_explained() -> None:
    """Each reason and guard in the code has a row that says what to do."""
    assert sorted(reasons() - documented()) == []


def test_no_explained_reason_is_invented() -> None:
    """Each row of the troubleshooting page is about a word that stands in the code."""
    source = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    assert sorted(word for word in documented() if f'"{word}"' not in source) == []


def test_every_metric_is_explained() -> None:
    """The metrics page lists exactly the metrics that the operator serves."""
    metrics = Metrics()
    metrics.watch_ages(dict)
    served = set(re.findall(r"^# TYPE (qdrant_\w+)", metrics.page().decode(), re.MULTILINE))
    page = (ROOT / "docs" / "metrics.md").read_text()
    listed = set(re.findall(r"^\| `(qdrant_\w+)`", page, re.MULTILINE))
    assert listed == {name for name in served if not name.endswith("_created")}


def test_alerts_use_metrics_that_exist() -> None:
    """Each metric in the example alerts is served."""
    page = (ROOT / "docs" / "metrics.md").read_text()
    rules = yaml.safe_load(page.split("```yaml\n")[1].split("```")[0])
    served = Metrics().page().decode()
    used = {name for rule in rules for name in re.findall(r"qdrant_\w+", rule["expr"])}
    assert used
    assert all(f"# TYPE {name} " in served for name in used)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link of a page names a file of the tree, and a heading where it names one."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{page.name}: {target}"


def test_quickstart_in_the_readme_is_the_example() -> None:
    """The manifests that the README shows are those of examples/quickstart."""
    shown = [
        yaml.safe_load(block)
        for block in re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    ]
    files = [path.read_text() for path in sorted((ROOT / "examples" / "quickstart").glob("*.yaml"))]
    examples = [document for text in files for document in yaml.safe_load_all(text)]
    assert shown
    assert all(block in examples for block in shown)


def test_first_screen_has_the_two_commands() -> None:
    """The README's first 24 lines say what this is and how to see and test it, and both targets exist."""
    head = (ROOT / "README.md").read_text().splitlines()[:24]
    makefile = (ROOT / "Makefile").read_text()
    for command in ("make demo", "make check test"):
        assert any(line.startswith(command) for line in head)
        for target in command.split()[1:]:
            assert re.search(rf"^{target}:", makefile, re.MULTILINE)


GUIDES = ("CONTRIBUTING.md", "docs/architecture.md")
IMAGINED = frozenset({"OptimizerRunning", "ExpandVolume", "QdrantAccessKey"})
"""Names in the worked examples of CONTRIBUTING.md that the source does not have."""


def quoted(page: str) -> set[str]:
    """What a page has in single backticks, without its code blocks."""
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    return set(re.findall(r"`([^`\n]+)`", text))


@pytest.mark.parametrize("page", GUIDES)
def test_paths_in_guides_exist(page: str) -> None:
    """Each path of a file or folder exists, in the repository or in the package."""
    paths = {word for word in quoted(page) if re.fullmatch(r"\w[\w.-]*/[\w./-]*", word)}
    assert paths
    assert sorted(path for path in paths if not ((ROOT / path).exists() or (PACKAGE / path).exists())) == []


@pytest.mark.parametrize("page", GUIDES)
def test_names_in_guides_exist(page: str) -> None:
    """Each class, function and constant that a guide names is in the source, the tests or the sandbox."""
    folders = (PACKAGE, ROOT / "tests", ROOT / "sandbox")
    source = "\n".join(path.read_text() for folder in folders for path in sorted(folder.rglob("*.py")))
    words = {word for word in quoted(page) if re.fullmatch(r"[A-Z][A-Za-z_]+|[a-z]+(_[a-z]+)+", word)}
    assert words
    known = set(re.findall(r"\w+", source))
    assert sorted(words - known - IMAGINED) == []
