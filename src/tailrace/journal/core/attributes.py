"""How two images of an item differ, and which change last set each part of one.

Theory of operation: a path is an attribute, or a member of a map in it, as deep as maps go: `address.city`.
Lists and sets are compared as a whole: an element has no identity of its own. Blame walks from the oldest to
the newest change and keeps, for each path that is there, the change that set its value last; a value that was
there when the journal began was set by none that it knows. Who made a change is said by what it tells itself:
Time to Live; the attribute that the app names as its actor, where the change set it; the handlers that led to
it; else that attribute as it stands, for the app says that every writer sets it. Else it is unknown: streams
do not tell the caller or its access key.
Rules of this file: pure; images in DynamoDB JSON.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import orjson
from msgspec import Struct

from tailrace.journal.core.change import JournalChange
from tailrace.journal.core.records import SCAN, TTL
from tailrace.streams.ancestry import handlers
from tailrace.streams.version import Version
from tailrace.values.types import AttributeValue, Item

UNKNOWN: Final = "unknown"
How: TypeAlias = Literal["ttl", "handler", "actor", "unknown"]
Path: TypeAlias = tuple[str, ...]


def path_name(path: Path) -> str:
    """A path in one text. A dot in a name has a backslash before it, so that no two paths have one text.

    >>> path_name(("address", "city")), path_name(("address.city",))
    ('address.city', 'address\\\\.city')
    """
    return ".".join(name.replace("\\", "\\\\").replace(".", "\\.") for name in path)


class AttributeDifference(Struct, frozen=True):
    """One path that differs. Shape: None is absent."""

    path: Path
    before: AttributeValue | None
    after: AttributeValue | None

    @property
    def name(self) -> str:
        """The path for people."""
        return path_name(self.path)


class Author(Struct, frozen=True):
    """Who made a change. Shape: `how` it is known: by `ttl`, the `handler`s that led to it, the `actor`
    attribute of the item; "unknown" with the same word in `how`.
    """

    who: str = UNKNOWN
    how: How = UNKNOWN


class Blame(Struct, frozen=True):
    """Who last set a path. Shape: `version` and `created_us` of the change; None: it was so when the journal
    began.
    """

    path: Path
    value: AttributeValue
    author: Author
    version: Version | None = None
    created_us: int | None = None

    @property
    def name(self) -> str:
        """The path for people."""
        return path_name(self.path)


class ItemDifference(Struct, frozen=True):
    """An item that is another one, or gone, or new. Shape: `happened` is `added`, `removed` or `changed`."""

    key: bytes
    happened: Literal["added", "removed", "changed"]
    before: bytes | None
    after: bytes | None
    differences: tuple[AttributeDifference, ...]


def differences(before: Item | None, after: Item | None) -> tuple[AttributeDifference, ...]:
    """Every path that differs, by name.

    >>> told = differences({"a": {"M": {"x": {"N": "1"}, "y": {"N": "2"}}}}, {"a": {"M": {"x": {"N": "3"}}}})
    >>> [(difference.name, difference.after) for difference in told]
    [('a.x', {'N': '3'}), ('a.y', None)]
    """
    return tuple(_differences((), before or {}, after or {}))


def _differences(
    above: Path, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[AttributeDifference]:
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if old is not None and new is not None and "M" in old and "M" in new:
            yield from _differences((*above, name), old["M"], new["M"])
        else:
            yield AttributeDifference((*above, name), old, new)


def item_difference(key: bytes, before: bytes | None, after: bytes | None) -> ItemDifference | None:
    """How an item differs between two moments; None: it does not."""
    images = [None if data is None else orjson.loads(data) for data in (before, after)]
    told = differences(*images)
    if before is None and after is None:
        return None
    if before is None or after is None:
        return ItemDifference(key, "added" if before is None else "removed", before, after, told)
    return ItemDifference(key, "changed", before, after, told) if told else None


def author_of(change: JournalChange, actor: str | None) -> Author:
    """Who made a change, as far as it tells. Shape: `actor` names the attribute in which an app says it."""
    if change.origin == TTL:
        return Author("Time to Live", "ttl")
    old, new = (None if data is None else orjson.loads(data) for data in (change.old, change.new))
    # An item that is deleted still says who wrote it last, not who deleted it.
    acting = None if actor is None or new is None else new.get(actor)
    is_fresh = acting is not None and (old is None or old.get(actor) != acting)
    if change.ancestry and not is_fresh:
        return Author(", ".join(handlers(change.ancestry)), "handler")
    value = None if acting is None else next(iter(acting.values()))
    if value in (None, "", True):  # absent, empty or NULL: it names nobody
        return Author()
    return Author(value if isinstance(value, str) else orjson.dumps(value).decode(), "actor")


def blame_of(changes: Sequence[JournalChange], actor: str | None = None) -> list[Blame]:
    """Who last set each path of an item as it is after these changes, by path. Shape: changes by version,
    rows of the base among them; nothing for an item that is not there.
    """
    blamed: dict[Path, Blame] = {}
    state: bytes | None = None
    for place, change in enumerate(changes):
        is_scan = change.origin == SCAN
        if place == 0 and not is_scan and change.old is not None:
            blamed = _blamed({}, orjson.loads(change.old), None, Author())
        elif not is_scan and change.old is not None and change.old != state:
            # what was set between them was set by a change that is not there
            blamed = _blamed(blamed, orjson.loads(change.old), None, Author())
        author = Author() if is_scan else author_of(change, actor)
        if is_scan and change.new == state:
            continue
        image = {} if change.new is None else orjson.loads(change.new)
        blamed = _blamed(blamed, image, None if is_scan else change, author)
        state = change.new
    return [blamed[path] for path in sorted(blamed)]


def _blamed(
    known: Mapping[Path, Blame], image: Item, change: JournalChange | None, author: Author
) -> dict[Path, Blame]:
    """Who set each path, after a change has made the item this one."""
    after: dict[Path, Blame] = {}
    for path, value in leaves(image):
        there = known.get(path)
        if there is not None and there.value == value:
            after[path] = there
        elif change is None:
            after[path] = Blame(path, value, author)
        else:
            after[path] = Blame(path, value, author, change.version, change.created_us)
    return after


def leaves(image: Item, above: Path = ()) -> Iterator[tuple[Path, AttributeValue]]:
    """Each path of an item and its value: a map with members has none of its own.

    >>> list(leaves({"a": {"M": {"x": {"N": "1"}}}, "b": {"M": {}}}))
    [(('a', 'x'), {'N': '1'}), (('b',), {'M': {}})]
    """
    for name, value in image.items():
        if value.get("M"):
            yield from leaves(value["M"], (*above, name))
        else:
            yield (*above, name), value
