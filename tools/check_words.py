"""Refuse identifiers that say nothing about what they name: `python tools/check_words.py`, part of `make lint`."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("swiftkit", "tools", "benchmarks", "examples", "tests")
WORDS = {"told", "said", "made", "given", "asked", "wanted", "theirs", "ours", "lived", "learned"}


def identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of everything that a module names: variables, arguments, attributes, functions, classes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute):
            yield node.lineno, node.attr
        elif isinstance(node, ast.arg) or (isinstance(node, ast.keyword) and node.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.alias):
            yield node.lineno, node.asname or node.name


def refused(source: str) -> list[tuple[int, str]]:
    """The identifiers of a module that consist of a refused word, or have one between underscores."""
    tree = ast.parse(source)
    # What a library calls its own function is its business: hypothesis has `given`.
    foreign = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "hypothesis"
        for alias in node.names
    }
    found = {(line, name) for line, name in identifiers(tree) if WORDS & set(name.lower().split("_"))}
    return sorted(item for item in found if item[1] not in foreign)


def main() -> int:
    """Print every refused identifier; 1 if there is any."""
    found = [
        f"{path.relative_to(ROOT)}:{line}: `{name}` does not say what it names"
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line, name in refused(path.read_text(encoding="utf-8"))
    ]
    if found:
        print("\n".join(found), f"refused in identifiers: {', '.join(sorted(WORDS))}", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
