"""Which handlers a change descends from, and how often: what tells a handler that calls itself from one that
is only busy.

Theory of operation: a change that a client wrote from outside has no ancestry. One that a handler wrote in
answer to another has the ancestry of that other and this handler once more. It is kept with the record, and a
client's request carries it in the header that AWS's own loop detection uses.
Rules of this file: pure; an ancestry is a text, "receipt:3,audit:1", the empty one for none: it is copied far
more often than it is read. Read by runtime/recursion.py, written by engine.engine and runtime/causing.py.
Source: Lambda Developer Guide, "recursive loop detection".
"""

from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, unquote

MEMBER: Final = "Tailrace="
"""Our member of an X-Amzn-Trace-Id, beside AWS's Root, Parent, Sampled and Lineage."""
TRACE_HEADER: Final = b"x-amzn-trace-id"


def _escaped(handler: str) -> str:
    # Neither separators nor "%": clients quote the header once more.
    return quote(handler.replace("_", "_5F"), safe="").replace("%", "_")


def _read(ancestry: str) -> dict[str, int]:
    return {
        name: int(count)
        for name, _, count in (entry.rpartition(":") for entry in ancestry.split(",") if entry)
    }


def _written(counts: dict[str, int]) -> str:
    return ",".join(f"{name}:{count}" for name, count in counts.items())


def times(ancestry: str, handler: str) -> int:
    """How often a handler is among the ancestors of a change.

    >>> times("receipt:3,audit:1", "receipt")
    3
    >>> times("", "receipt")
    0
    """
    return _read(ancestry).get(_escaped(handler), 0) if ancestry else 0


def repeats(ancestry: str) -> bool:
    """Whether a handler is twice among the ancestors of a change: a pipeline has each once.

    >>> repeats("receipt:1,audit:1"), repeats("receipt:1,audit:2")
    (False, True)
    """
    return any(count > 1 for count in _read(ancestry).values())


def handlers(ancestry: str) -> list[str]:
    """The handlers that a change descends from, each once.

    >>> handlers("receipt:3,shop.send_5Fmail:1"), handlers("")
    (['receipt', 'shop.send_mail'], [])
    """
    return [unquote(name.replace("_", "%")) for name in _read(ancestry)]


def descended(ancestry: str, handler: str) -> str:
    """The ancestry of what a handler writes in answer to a change.

    >>> descended("receipt:3", "receipt"), descended("", "shop.send_mail")
    ('receipt:4', 'shop.send_5Fmail:1')
    """
    name = _escaped(handler)
    if not ancestry:
        return f"{name}:1"
    counts = _read(ancestry)
    counts[name] = counts.get(name, 0) + 1
    return _written(counts)


def merged(ancestries: Iterable[str]) -> str:
    """The ancestry of a batch: a function does not say which change it answers, so the deepest counts.

    >>> merged(["receipt:3", "", "receipt:1,audit:2"])
    'receipt:3,audit:2'
    """
    deepest: dict[str, int] = {}
    for ancestry in dict.fromkeys(ancestries):
        for name, count in _read(ancestry).items():
            deepest[name] = max(count, deepest.get(name, 0))
    return _written(deepest)


def trace_id(ancestry: str, created_ms: int, request_id: str) -> str:
    """An X-Amzn-Trace-Id that carries an ancestry. Shape: `request_id` has 32 hexadecimal digits and dashes.

    >>> trace_id("receipt:3", 1_700_000_000_000, "3f2504e0-4f89-11d3-9a0c-0305e82c3301")
    'Root=1-6553f100-3f2504e04f8911d39a0c0305;Sampled=0;Tailrace=receipt:3'
    """
    root = f"Root=1-{created_ms // 1_000:08x}-{request_id.replace('-', '')[:24]}"
    return f"{root};Sampled=0;{MEMBER}{ancestry}"


def ancestry_of(trace: bytes) -> str:
    """The ancestry that a request's X-Amzn-Trace-Id carries; empty for another's, and for what is none.

    >>> ancestry_of(b"Root=1-6553f100-3f2504e04f8911d39a0c0305;Sampled=0;Tailrace=receipt:3")
    'receipt:3'
    >>> ancestry_of(b"Root=1-6553f100-3f2504e04f8911d39a0c0305;Tailrace=receipt:x")
    ''
    """
    for member in unquote(trace.decode("latin-1")).split(";"):
        if member.startswith(MEMBER):
            try:
                return _written(_read(member.removeprefix(MEMBER)))
            except ValueError:
                return ""
    return ""
