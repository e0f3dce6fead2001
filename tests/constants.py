"""The constants of Tailrace's modules: an app of a test may shorten a bound of the process that it runs in,
and what is tested behind it, in the same process, must not have that one.

Rules of this file: a constant has an upper-case name; which object it is bound to is what is held.
"""

import sys
from collections.abc import Mapping
from types import ModuleType

Constants = Mapping[tuple[str, str], object]
"""(module, name) → value."""


def constants() -> Constants:
    """Those of the modules that are loaded."""
    return {(module.__name__, name): value for module in _ours() for name, value in _of(module)}


def give_back(before: Constants) -> list[str]:
    """Bind them to what they were. Returns: the names of those that were others, sorted."""
    changed = []
    for module in _ours():
        for name, value in _of(module):
            known = before.get((module.__name__, name), value)
            if known is not value:
                setattr(module, name, known)
                changed.append(f"{module.__name__}.{name}")
    return sorted(changed)


def _ours() -> list[ModuleType]:
    return [module for name, module in [*sys.modules.items()] if name.split(".", 1)[0] == "tailrace"]


def _of(module: ModuleType) -> list[tuple[str, object]]:
    return [(name, value) for name, value in [*vars(module).items()] if name.isupper()]
