"""`python -m sandbox.source.map`: the source tree in numbers: folders, long files and functions, package imports."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
PRODUCT = ROOT / "operator" / "qdrant_operator"
TREES = (PRODUCT, ROOT / "sandbox", ROOT / "tests", ROOT / "e2e", ROOT / "bench")
MOST_FILES = 12
"""Modules of one folder, `__init__.py` aside."""
LONG_FILE = 300
"""Lines."""
LONGEST = 10
"""Functions that are listed."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function or method."""

    where: str
    """File and name."""
    lines: int
    """Of its body, without the docstring."""


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder of the source tree."""

    name: str
    files: int
    """Modules, `__init__.py` aside."""
    lines: int


def modules(tree: Path) -> list[Path]:
    """Every module below a folder."""
    return sorted(path for path in tree.rglob("*.py") if path.stat().st_size)


def relative(path: Path) -> str:
    """As the tables show it."""
    inside = PRODUCT if path.is_relative_to(PRODUCT) else ROOT
    return str(path.relative_to(inside))


def line_count(path: Path) -> int:
    """Lines of a file."""
    return len(path.read_text().splitlines())


def folders(tree: Path) -> list[Folder]:
    """Every folder that has modules."""
    by_folder: dict[Path, list[Path]] = {}
    for path in modules(tree):
        by_folder.setdefault(path.parent, []).append(path)
    return [_folder(folder, paths) for folder, paths in sorted(by_folder.items())]


def _folder(folder: Path, paths: list[Path]) -> Folder:
    counted = [path for path in paths if path.name != "__init__.py"]
    return Folder(relative(folder), len(counted), sum(map(line_count, paths)))


def functions(path: Path) -> Iterator[Function]:
    """Functions and methods of a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield Function(f"{relative(path)}: {node.name}", _body_lines(node))


def _body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def packages(path: Path) -> str:
    """The package of the product that a module belongs to: two levels, for example domain.placement."""
    parts = path.relative_to(PRODUCT).with_suffix("").parts
    return ".".join(parts[:-1][:2]) or parts[0]


def imports() -> Counter[tuple[str, str]]:
    """How many modules of one package import from another one."""
    found: Counter[tuple[str, str]] = Counter()
    for path in modules(PRODUCT):
        here = packages(path)
        found.update((here, other) for other in _imported(path) if other != here)
    return found


def _imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    names = [str(node.module) for node in nodes if str(node.module).startswith("qdrant_operator.")]
    return {packages(_file_of(name)) for name in names}


def _file_of(name: str) -> Path:
    path = PRODUCT.joinpath(*name.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def report() -> Iterator[str]:
    """The tables."""
    yield "FOLDERS OF THE PRODUCT (modules, lines)"
    yield from (f"  {folder.name:32} {folder.files:4} {folder.lines:6}" for folder in folders(PRODUCT))
    yield "\nTREES (modules, lines, median lines of a function)"
    yield from (_tree(tree) for tree in TREES)
    crowded = [folder for tree in TREES for folder in folders(tree) if folder.files > MOST_FILES]
    yield f"\nFOLDERS ABOVE {MOST_FILES} MODULES: {', '.join(folder.name for folder in crowded) or 'none'}"
    yield f"\nFILES ABOVE {LONG_FILE} LINES"
    yield from (f"  {name:60} {lines}" for name, lines in long_files())
    yield "\nLONGEST FUNCTIONS OF THE PRODUCT"
    yield from (f"  {function.where:70} {function.lines}" for function in longest())
    yield "\nIMPORTS BETWEEN PACKAGES (modules that import)"
    yield from (f"  {here:24} -> {there:24} {count}" for (here, there), count in sorted(imports().items()))


def _tree(tree: Path) -> str:
    paths = modules(tree)
    name = tree.name if tree is not PRODUCT else "operator"
    return f"  {name:32} {len(paths):4} {sum(map(line_count, paths)):6} {median_function(tree):5}"


def median_function(tree: Path) -> float:
    """Median lines of the functions below a folder."""
    return median(function.lines for path in modules(tree) for function in functions(path))


def long_files() -> list[tuple[str, int]]:
    """Files above the bound, the longest first."""
    counted = [(relative(path), line_count(path)) for tree in TREES for path in modules(tree)]
    return sorted([entry for entry in counted if entry[1] > LONG_FILE], key=lambda entry: -entry[1])


def longest() -> list[Function]:
    """The longest functions of the product."""
    found = [function for path in modules(PRODUCT) for function in functions(path)]
    return sorted(found, key=lambda function: -function.lines)[:LONGEST]


if __name__ == "__main__":
    sys.stdout.write("\n".join(report()) + "\n")
