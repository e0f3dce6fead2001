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
    return {(module.__name__, name): vars(module)[name] for module, names in _ours() for name in names}


def give_back(before: Constants) -> list[str]:
    """Bind them to what they were. Returns: the names of those that were others, sorted."""
    changed = []
    for module, names in _ours():
        for name in names:
            value = vars(module)[name]
            known = before.get((module.__name__, name), value)
            if known is not value:
                setattr(module, name, known)
                changed.append(f"{module.__name__}.{name}")
    return sorted(changed)


def _ours() -> list[tuple[ModuleType, list[str]]]:
    loaded = sys.modules.copy()  # at once: another thread may import, or a finalizer
    modules = [module for name, module in loaded.items() if name.partition(".")[0] == "tailrace"]
    return [(module, _names(module)) for module in modules]


def _names(module: ModuleType) -> list[str]:
    """The names of its constants: looked for again when it has got more names, or fewer."""
    count, names = _KNOWN.get(module.__name__, (0, []))
    if count != len(vars(module)) or not vars(module).keys() >= set(names):
        names = [name for name in [*vars(module)] if name.isupper()]
        _KNOWN[module.__name__] = len(vars(module)), names
    return names


_KNOWN: dict[str, tuple[int, list[str]]] = {}
"""By module: how many names it had, and which of them are constants."""
