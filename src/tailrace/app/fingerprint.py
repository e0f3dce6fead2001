"""Whether a function is still the one it was: a hash of its code, without comments, docstring and lines.

Rules of this file: a hint, no proof: what the function calls is not looked into, and another Python compiles
otherwise, so the version of Python stands in front and nothing is said across versions.
"""

import inspect
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from types import CodeType
from typing import Any


def fingerprint(functions: tuple[Callable[..., Any], ...], *settings: object) -> str:
    """The fingerprint of functions and of what else they mean.

    >>> one, other = (lambda a: a + 1), (lambda a: a + 2)
    >>> fingerprint((one,)) == fingerprint((lambda a: a + 1,)), fingerprint((one,)) == fingerprint((other,))
    (True, False)
    """
    digest = sha256(repr(settings).encode())
    for function in functions:
        code = getattr(inspect.unwrap(function), "__code__", None)
        for part in [repr(function)] if code is None else _parts(code, function.__doc__):
            digest.update(part.encode())
    return f"{sys.version_info.major}.{sys.version_info.minor}:{digest.hexdigest()[:16]}"


def is_changed(before: str, now: str) -> bool:
    """Whether two fingerprints of the same Python differ."""
    return before.partition(":")[0] == now.partition(":")[0] and before != now


def _parts(code: CodeType, doc: str | None = None) -> Iterator[str]:
    yield code.co_code.hex()
    yield repr((code.co_names, code.co_varnames, code.co_freevars))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _parts(constant)
        elif doc is None or constant != doc:
            yield repr(constant)
