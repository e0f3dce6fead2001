"""Events, command markers and snapshots as items of one partition, and back.

Theory of operation: the partition key is `<aggregate>#<id>`; the sort key says what an item is:
`C#<command>` a marker, `E#<version>` an event, `S` the snapshot. They sort in this order, so a query
backwards from `S` meets the snapshot first and then the newest events.
Rules of this file: DynamoDB JSON in and out, no user's class. Layout: docs/formats/events.md.
"""

from typing import Any, Final

from msgspec import Struct

from tailrace.errors import StoreError
from tailrace.values.types import Item

FORMAT: Final = 1
WIDTH: Final = 12
"""Digits of a version: texts of one length sort as the numbers do."""
LAST_VERSION: Final = 10**WIDTH - 1
SNAPSHOT_SORT: Final = "S"
EVENT_SORT: Final = f"E#{{version:0{WIDTH}}}"
COMMAND_SORT: Final = "C#{command_id}"
PARTITION: Final = "{name}#{id}"


class Place(Struct, frozen=True):
    """Where one aggregate is kept. Shape: `pk`, `sk` are the key attributes of the table, both texts."""

    table: str
    pk: str
    sk: str
    name: str
    id: str

    def __str__(self) -> str:
        return f"{self.name} {self.id!r}"

    def key(self, sort: str) -> Item:
        """The key of one of its items."""
        return {self.pk: {"S": PARTITION.format(name=self.name, id=self.id)}, self.sk: {"S": sort}}


def event_sort(version: int) -> str:
    """The sort key of an event.

    >>> event_sort(7)
    'E#000000000007'
    """
    return EVENT_SORT.format(version=version)


def command_sort(command_id: str) -> str:
    """The sort key of a command's marker."""
    return COMMAND_SORT.format(command_id=command_id)


class StoredEvent(Struct, frozen=True):
    """One event as its item has it.

    Shape:   `data` are its fields in schema version `schema` of its type; `through` is the version of the
             last event that was appended with it, `append` names that append; `command` is the command's id,
             `meta` what the caller noted.
    Units:   recorded_ms since the epoch, by the clock of who appended it; previous_ms that of the event
             before it, 0 for the first.
    """

    version: int
    type: str
    schema: int
    data: Item
    through: int
    append: str
    recorded_ms: int = 0
    previous_ms: int = 0
    command: str | None = None
    meta: Item = {}


class Marker(Struct, frozen=True):
    """What a command came to. Shape: its events are those from `first` to `last`; none when `last <
    first`.
    """

    first: int
    last: int
    append: str
    recorded_ms: int = 0


class FoldedState(Struct, frozen=True):
    """The state at a version. Shape: `code` names the code that folded it."""

    version: int
    code: str
    state: Item
    recorded_ms: int = 0


def event_item(place: Place, event: StoredEvent) -> Item:
    """An event as its aggregate keeps it, under a key that sorts by versions."""
    item = place.key(event_sort(event.version)) | {
        "v": _number(FORMAT),
        "type": {"S": event.type},
        "schema": _number(event.schema),
        "data": {"M": event.data},
        "through": _number(event.through),
        "append": {"S": event.append},
        "recorded_ms": _number(event.recorded_ms),
        "previous_ms": _number(event.previous_ms),
    }
    if event.command is not None:
        item["command"] = {"S": event.command}
    if event.meta:
        item["meta"] = {"M": event.meta}
    return item


def is_event(place: Place, item: Item) -> bool:
    """Whether an item of the partition is an event."""
    return str(item[place.sk]["S"]).startswith("E#")


def read_event(place: Place, item: Item) -> StoredEvent:
    """The event of an item. Raises: StoreError for a format that this version does not know."""
    _check_format(place, item)
    return StoredEvent(
        version=int(item[place.sk]["S"].removeprefix("E#")),
        type=item["type"]["S"],
        schema=int(item["schema"]["N"]),
        data=item["data"]["M"],
        through=int(item["through"]["N"]),
        append=item["append"]["S"],
        recorded_ms=int(item["recorded_ms"]["N"]),
        previous_ms=int(item["previous_ms"]["N"]),
        command=item["command"]["S"] if "command" in item else None,
        meta=item["meta"]["M"] if "meta" in item else {},
    )


def marker_item(place: Place, command_id: str, marker: Marker) -> Item:
    """What keeps a command from being handled twice, in the same partition."""
    return place.key(command_sort(command_id)) | {
        "v": _number(FORMAT),
        "first": _number(marker.first),
        "last": _number(marker.last),
        "append": {"S": marker.append},
        "recorded_ms": _number(marker.recorded_ms),
    }


def read_marker(place: Place, item: Item) -> Marker:
    """The marker of an item. Raises: as read_event."""
    _check_format(place, item)
    return Marker(
        int(item["first"]["N"]),
        int(item["last"]["N"]),
        item["append"]["S"],
        int(item["recorded_ms"]["N"]),
    )


def snapshot_item(place: Place, snapshot: FoldedState) -> Item:
    """The only one of its aggregate: a later one takes its place."""
    return place.key(SNAPSHOT_SORT) | {
        "v": _number(FORMAT),
        "version": _number(snapshot.version),
        "code": {"S": snapshot.code},
        "state": {"M": snapshot.state},
        "recorded_ms": _number(snapshot.recorded_ms),
    }


def read_snapshot(place: Place, item: Item) -> FoldedState | None:
    """The snapshot of an item; None for a format that this version does not know: it is only a shortcut."""
    if item.get("v") != _number(FORMAT):
        return None
    return FoldedState(
        int(item["version"]["N"]),
        item["code"]["S"],
        item["state"]["M"],
        int(item["recorded_ms"]["N"]),
    )


def _number(value: int) -> dict[str, Any]:
    return {"N": str(value)}


def _check_format(place: Place, item: Item) -> None:
    if item.get("v") != _number(FORMAT):
        raise StoreError(
            f"{place}: {item[place.sk]['S']} of table {place.table} has format {item.get('v')}, and this "
            f"version "
            f"of tailrace reads format {FORMAT}",
            hint="read it with the version that wrote it (docs/formats/events.md)",
        )
