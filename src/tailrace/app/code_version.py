"""Which version of its code a handler is. A dead letter says it, so that one sees whether it failed before
the repair or after it.

Rules of this file: it is the content of the files in which the handler and its helpers of one declaration
(transform, enrich) stand, not of what they import; a deployment that knows better sets
`TAILRACE_CODE_VERSION`. It never raises. Called by `compose_worker`.
"""

import inspect
import os
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, Final

from tailrace.app.fingerprint import fingerprint
from tailrace.app.function_settings import NamedFunction
from tailrace.app.mapping import HandlerMapping

VARIABLE: Final = "TAILRACE_CODE_VERSION"
DIGITS: Final = 12


def code_version(mapping: HandlerMapping) -> str:
    """What the environment says; else twelve hexadecimal digits that change when a file of the handler does;
    "" when no function is the user's.
    """
    return version_of((mapping.target, mapping.transform, mapping.enrich))


def version_of(parts: tuple[Any, ...]) -> str:
    """The same of any functions and classes of the user's; what cannot be called is left out."""
    if version := os.environ.get(VARIABLE):
        return version
    functions = tuple(part for part in parts if callable(part) and not _is_ours(part))
    files = sorted({file for function in functions if (file := file_of(function)) is not None})
    if files:
        return sha256("".join(map(_digest_of, files)).encode()).hexdigest()[:DIGITS]
    if not functions:
        return ""
    # Typed in at a prompt, or made by a program: no file, so the code itself.
    return sha256(fingerprint(functions).encode()).hexdigest()[:DIGITS]


def _is_ours(function: Callable[..., Any]) -> bool:
    if isinstance(function, NamedFunction):
        return False
    module = getattr(inspect.unwrap(function), "__module__", None) or type(function).__module__
    return str(module).partition(".")[0] == "tailrace"


def file_of(function: Callable[..., Any]) -> Path | None:
    """The file in which a function of the user's stands; None: it has none. It never raises."""
    try:
        if isinstance(function, NamedFunction):
            name = _origin(function.code.module)
        else:
            name = inspect.getsourcefile(inspect.unwrap(function))
    except Exception:  # no function at all, or a package that raises while it is looked into: it has no file
        return None
    return _resolved(name) if name and os.path.isfile(name) else None


@lru_cache(maxsize=256)
def _resolved(name: str) -> Path:
    """Where a file is: every test world asks of the same few."""
    return Path(name).resolve()


def _origin(module: str) -> str | None:
    """The file of a module. Neither it nor its packages are imported: their code is for another process."""
    whole, path = "", None
    for part in module.split("."):
        whole = f"{whole}.{part}" if whole else part
        spec = PathFinder.find_spec(whole, path)
        if spec is None:
            return None
        path = spec.submodule_search_locations
    return spec.origin if spec is not None else None


def _digest_of(path: Path) -> str:
    try:
        status = path.stat()
        return _digest(path, status.st_mtime_ns, status.st_size)
    except OSError:
        return ""


@lru_cache(maxsize=256)
def _digest(path: Path, modified_ns: int, size: int) -> str:
    return sha256(path.read_bytes()).hexdigest()
