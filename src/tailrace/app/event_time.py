"""When something happened, for windows: `at=Order.placed_at`, an attribute's name, a function of the item, or
the time of the change.

Rules of this file: a datetime without a zone is UTC; a number counts seconds since 1970; an item whose time
is None happened when it was changed last. What is no time is a failure of that item. Called by window.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import reduce
from typing import Any, Final

from tailrace.app.depends import place_of
from tailrace.app.entity import Entity, field_path
from tailrace.app.field_path import FieldPath
from tailrace.errors import SettingsError
from tailrace.windows.core.rows import LATEST_MS

TIMES: Final = ("datetime", "datetime in whole seconds", "int", "Decimal", "float")


@dataclass(frozen=True, slots=True)
class EventTime:
    """How an item's time is read. Shape: without `read` it is the time of the change."""

    words: str
    read: Callable[[Any], Any] | None = None

    def of(self, item: Any, changed_ms: int) -> int:
        """The time of an item.

        Units:   ms since the epoch.
        Raises:  what the user's function raises, ValueError, TypeError.
        """
        value = None if self.read is None else self.read(item)
        if value is None:
            return changed_ms
        time_ms = _milliseconds(self.words, value)
        if not 0 <= time_ms < LATEST_MS:
            raise ValueError(f"at={self.words}: {value!r} lies before 1970 or too far ahead")
        return time_ms


OF_THE_CHANGE: Final = EventTime("the change's time")


def _milliseconds(words: str, value: Any) -> int:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        instant = value.replace(tzinfo=UTC) if value.tzinfo is None else value
        return round(instant.timestamp() * 1_000)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return int(value * 1_000)
    raise TypeError(f"at={words}: {value!r} is no time: a datetime, or seconds since 1970")


def event_time_of(place: str, at: Any, entity: Entity[Any] | None) -> EventTime:
    """What `at=` says. Raises: SettingsError."""
    match at:
        case None:
            return OF_THE_CHANGE
        case FieldPath():
            return _field(place, at, entity)
        case str() if entity is not None:
            try:
                return _field(place, field_path(entity, at), entity)
            except SettingsError as error:
                raise SettingsError(f"{place}: at={at!r}: {error.args[0]}") from error
        case str() if at:
            return EventTime(repr(at), lambda item: item.get(at))
        case _ if callable(at) and not isinstance(at, type):
            return EventTime(f"{getattr(at, '__qualname__', repr(at))}{place_of(at)}", at)
    raise SettingsError(
        f"{place}: at={at!r} says no time: write at=Order.placed_at, an attribute's name for a table, a "
        "function of the item, or leave it out for the time of the change"
    )


def _field(place: str, field: FieldPath, entity: Entity[Any] | None) -> EventTime:
    if entity is None or field._entity is not entity:
        on = "a table" if entity is None else repr(entity)
        raise SettingsError(
            f"{place}: at={field!r} is a field of {field._entity!r}, and the window is of {on}"
        )
    words = field._codec.words.removesuffix(" | None")
    if words not in TIMES:
        raise SettingsError(
            f"{place}: at={field!r}: it is {field._codec.words}, and a time is a datetime, an Epoch "
            "or a number of seconds"
        )
    return EventTime(repr(field), lambda item: reduce(_inside, field._names, item))


def _inside(item: Any, name: str) -> Any:
    return None if item is None else getattr(item, name)
