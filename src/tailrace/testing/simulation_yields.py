"""Every yield of the runtime's steps, read from their source: a campaign must pass it, and crash at it.

Rules of this file: nothing is listed by hand; steps that are added in one of these modules are asked for at
once. Called by tests/simulation.
"""

import ast
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Final

from tailrace.deadletters.run import planning, putting_back
from tailrace.runtime import delivering, evacuation, fleet, kept, starting, target_positions

STEPS: Final[tuple[ModuleType, ...]] = (
    delivering, evacuation, fleet, kept, planning, putting_back, starting, target_positions,
)  # fmt: skip
"""The modules whose steps a simulated worker performs."""


def all_yields() -> tuple[str, ...]:
    """Each yield as simulation_performing.py names it: its generator, and its line in that."""
    return tuple(place for module in STEPS for place in _yields(ast.parse(inspect.getsource(module)), ""))


def _yields(tree: ast.AST, inside: str) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.ClassDef(name=name):
                yield from _yields(node, f"{inside}{name}.")
            case ast.FunctionDef(name=name):
                yield from sorted(
                    f"{inside}{name} +{inner.lineno - node.lineno}"
                    for inner in ast.walk(node)
                    if isinstance(inner, ast.Yield)
                )
            case _:
                pass
