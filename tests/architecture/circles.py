"""Circles of imports between modules: lazy imports and those for types alone count as any other.

Theory of operation: a module imports whatever one of its lines names, wherever the line stands. Two modules
that reach one another so are one idea in two files, or one of them knows too much; Python's order of
loading them is an accident.
Rules of this file: pure, sources in (path → text) and findings out, so that a canary can plant what must be
found. Called by `test_circles` and `test_single_importers`.
"""

import ast
from collections.abc import Iterator, Mapping

Sources = Mapping[str, str]
Graph = Mapping[str, frozenset[str]]
"""By path below the package: the paths that it imports."""


def graph_of(sources: Sources, package: str = "tailrace") -> Graph:
    """What imports what in a package."""
    paths = {_name(path, package): path for path in sources}
    return {
        path: frozenset(paths[name] for name in _imported(text, paths) if name in paths) - {path}
        for path, text in sources.items()
    }


def circles(graph: Graph) -> list[tuple[str, ...]]:
    """The sets of modules that reach one another, each in the order of names."""
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    circles: list[tuple[str, ...]] = []

    def visit(module: str) -> None:
        index[module] = lowest[module] = len(index)
        stack.append(module)
        for imported in sorted(graph[module]):
            if imported not in index:
                visit(imported)
                lowest[module] = min(lowest[module], lowest[imported])
            elif imported in stack:
                lowest[module] = min(lowest[module], index[imported])
        if lowest[module] == index[module]:
            start = stack.index(module)
            if len(stack) > start + 1:
                circles.append(tuple(sorted(stack[start:])))
            del stack[start:]

    for module in graph:
        if module not in index:
            visit(module)
    return sorted(circles)


def _name(path: str, package: str) -> str:
    return ".".join([package, *path.removesuffix(".py").split("/")]).removesuffix(".__init__")


def _imported(text: str, known: Mapping[str, str]) -> Iterator[str]:
    """The modules that a source imports; `from a import b` names `a.b` where that is a module, else `a`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in known else node.module
