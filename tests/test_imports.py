"""No circle of imports: neither at run time, inside functions included, nor for type checkers alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"sandbox": ROOT, "qdrant_operator": ROOT / "operator"}
Graph = dict[str, set[str]]


def modules() -> dict[str, Path]:
    """Every module of the packages by its name."""
    found = {}
    for package, folder in PACKAGES.items():
        for path in (folder / package).rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imported(tree: ast.Module) -> Iterator[str]:
    """Names that a module imports anywhere: modules, and what is taken from them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(name: str, known: set[str]) -> str | None:
    """The module that an imported name is, or is defined in."""
    parent = name.rpartition(".")[0]
    return name if name in known else parent if parent in known else None


def graph(paths: dict[str, Path]) -> Graph:
    """Which module imports which."""
    known, found = set(paths), {}
    for module, path in paths.items():
        names = imported(ast.parse(path.read_text()))
        targets = {module_of(name, known) for name in names}
        found[module] = {target for target in targets if target is not None and target != module}
    return found


def circle(imports: Graph) -> list[str]:
    """Modules of one circle, in the order of their imports; empty when there is none."""
    done: set[str] = set()
    for start in sorted(imports):
        found = _circle_from(start, imports, [], done)
        if found:
            return found
    return []


def _circle_from(module: str, imports: Graph, path: list[str], done: set[str]) -> list[str]:
    if module in path:
        return [*path[path.index(module) :], module]
    if module in done:
        return []
    for target in sorted(imports[module]):
        found = _circle_from(target, imports, [*path, module], done)
        if found:
            return found
    done.add(module)
    return []


def test_no_module_imports_itself_through_others() -> None:
    """A circle works only as long as its modules are imported in the right order."""
    assert circle(graph(modules())) == []


@pytest.mark.parametrize(
    ("imports", "expected"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"c"}, "c": {"b"}}, ["b", "c", "b"]),
    ],
    ids=["line", "circle"],
)
def test_a_circle_is_found(imports: Graph, expected: list[str]) -> None:
    """Without this the test above could never fail."""
    assert circle(imports) == expected
