"""Windows in event time as they are declared, and what their handler is given.

    @app.window(Order, every="1m", by=Order.country, at=Order.placed_at, lateness="5m")
    def spike(window: Window[Order]) -> dict[str, object] | None: ...

Rules of this file: the arguments are the configuration; what is wrong with them is refused where the app is
loaded, in words that say how to fix it. Called by declaring.py; run by sinks/windowed.py and
windows/run/windowing.py.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar, get_args, get_origin, overload

import orjson

from tailrace.app.entity import Entity
from tailrace.app.event_time import EventTime, event_time_of
from tailrace.app.grouping import Grouping, grouping_of
from tailrace.app.plain import to_plain_item
from tailrace.app.retry import milliseconds
from tailrace.app.table import EVENTS, Changes, Table
from tailrace.errors import SettingsError
from tailrace.values.types import Item
from tailrace.windows.core.shapes import Fixed, Session, Shape

T = TypeVar("T")
MOST_OVERLAPPING: Final = 1_000
LONGEST_MS: Final = 366 * 86_400_000
HOW: Final = 'every="1m" (tumbling), every="1m", length="5m" (sliding) or gap="30m" (session)'


@dataclass(frozen=True, slots=True)
class Window(Sequence[T], Generic[T]):
    """What happened in one window, for one key: each item once, as it is now, in the order of their times.

    Shape:   `key` is what `by` says, None without it; `start` and `end` in UTC, the end outside; `revision`
             is 1 for the first result and counts the corrections after it; `id` tells one revision of one
             window from all others: an idempotency key. `replay_id` is the run of `tailrace replay` that
             tells it; None: it is live.
    """

    key: Any
    start: datetime
    end: datetime
    items: tuple[T, ...]
    revision: int = 1
    id: str = ""
    replay_id: str | None = None

    @property
    def is_replay(self) -> bool:
        """Whether it is told by `tailrace replay`, live or on trial, rather than when it was over."""
        return self.replay_id is not None

    @property
    def is_correction(self) -> bool:
        """Whether this window was told before: a change came late, or was taken back."""
        return self.revision > 1

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        return self.items[index]


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """The windows of one handler.

    Units:   a window is told first lateness_ms after its end, and closed for good keep_ms after that.
    """

    table: Table
    entity: Entity[Any] | None
    shape: Shape
    by: Grouping
    at: EventTime
    lateness_ms: int
    keep_ms: int

    @property
    def delay_ms(self) -> int:
        """How long after its end a window is closed for good."""
        return self.lateness_ms + self.keep_ms

    def place_of(self, image: Item, changed_ms: int) -> tuple[str, int]:
        """The group and the time of an image.

        Raises:  what the user's code raises, ItemError, ValueError, TypeError.
        """
        item = self.instance(image)
        return self.by.key_of(item), self.at.of(item, changed_ms)

    def instance(self, image: Item) -> Any:
        """The item as the handler gets it. Raises: ItemError."""
        return to_plain_item(image) if self.entity is None else self.entity.decode(image)

    def is_of(self, keys: Item) -> bool:
        """Whether an item with this key is one of those that are watched."""
        return self.entity is None or self.table.entities.of(orjson.dumps(keys)) is self.entity


def window_plan(
    place: str,
    changes: Changes[Entity[Any]],
    *,
    every: str | None,
    length: str | None,
    gap: str | None,
    by: Any,
    at: Any,
    lateness: str,
    keep: str,
) -> WindowPlan:
    """The plan, when all of it fits. Raises: SettingsError."""
    _check_changes(place, changes)
    return WindowPlan(
        changes.table,
        changes.entity,
        _shape(place, every, length, gap),
        grouping_of(place, by, changes.entity),
        event_time_of(place, at, changes.entity),
        _duration(place, "lateness", lateness, zero=True),
        _duration(place, "keep", keep, zero=True),
    )


def _check_changes(place: str, changes: Changes[Entity[Any]]) -> None:
    if set(changes.events) != set(EVENTS) or changes.unmatched:
        raise SettingsError(
            f"{place}: a window follows every change of its items, because each may take one out again: "
            f"declare it on {changes.entity or 'the table'}, not on some kinds of changes"
        )
    if changes.table.stream in ("KEYS_ONLY", "OLD_IMAGE"):
        raise SettingsError(
            f"{place}: table {changes.table.name!r} has stream={changes.table.stream!r}, and a window needs "
            "the new image: stream='NEW_AND_OLD_IMAGES' or 'NEW_IMAGE'"
        )


def _shape(place: str, every: str | None, length: str | None, gap: str | None) -> Shape:
    if (every is None) == (gap is None):
        raise SettingsError(f"{place}: say which windows: {HOW}")
    if gap is not None:
        if length is not None:
            raise SettingsError(f"{place}: a session has no length=: it ends when gap={gap!r} has passed")
        return Session(_duration(place, "gap", gap))
    assert every is not None
    every_ms = _duration(place, "every", every)
    length_ms = every_ms if length is None else _duration(place, "length", length)
    if length_ms % every_ms or not 1 <= length_ms // every_ms <= MOST_OVERLAPPING:
        raise SettingsError(
            f"{place}: length={length!r} is not allowed with every={every!r}: it is a multiple of "
            f"it, at most {MOST_OVERLAPPING} times as long"
        )
    return Fixed(every_ms, length_ms)


def _duration(place: str, name: str, text: object, *, zero: bool = False) -> int:
    try:
        duration_ms = milliseconds(text)
    except SettingsError:
        duration_ms = -1
    if not (0 if zero else 1) <= duration_ms <= LONGEST_MS:
        raise SettingsError(
            f"{place}: {name}={text!r} is not allowed; it is a duration such as '30s', '5m' or '1h'"
        )
    return duration_ms


def check_window(place: str, annotation: Any, changes: Changes[Entity[Any]]) -> None:
    """Refuse a handler that wants something else than the window. Raises: SettingsError."""
    form, inside = get_origin(annotation) or annotation, get_args(annotation)
    of = dict if changes.entity is None else changes.entity.cls
    shown = "Window" if changes.entity is None else f"Window[{changes.entity}]"
    if isinstance(form, type) and form is not Window and form is not object:
        raise SettingsError(f"{place}: it is given a Window, not {form.__qualname__}: window: {shown}")
    wants = get_origin(inside[0]) or inside[0] if inside else of
    if form is Window and isinstance(wants, type) and wants not in (of, object, dict, Any):
        raise SettingsError(
            f"{place}: it is declared on {changes.entity or changes.table.name!r} and wants "
            f"Window[{wants.__qualname__}]: write {shown}"
        )
