"""How a handler stands, as alerts see it, and which of them hold.

Rules of this file: pure. `late` and `stuck` are by what waits: a handler whose table is not written to is
neither, however long ago it moved. Called by alerts/core/row.py's callers, with what server/signs.py saw.
Source: growth §2.10, §3.1.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, get_args

from msgspec import Struct

AlertKind: TypeAlias = Literal["late", "stuck", "gap", "evacuating", "dead letters", "two owners"]
KINDS_OF_ALERT: Final[tuple[AlertKind, ...]] = get_args(AlertKind)
PAGES: Final[frozenset[AlertKind]] = frozenset(("stuck", "gap", "evacuating", "two owners"))
"""These lose something, or soon will; the others are for the next morning."""
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000


class AlertBounds(Struct, frozen=True):
    """Past which an alert holds. A bound itself is still well.

    Units:   milliseconds. late_ms is lag, stuck_ms how long a shard with older changes has not moved,
             left_ms what is left until the trim, quiet_ms how long no dead letter has come when that alert
             ends, again_ms how often an alert that lasts is told again.
    """

    late_ms: int = 15 * MINUTE_MS
    stuck_ms: int = 10 * MINUTE_MS
    left_ms: int = 4 * HOUR_MS
    quiet_ms: int = 15 * MINUTE_MS
    again_ms: int = HOUR_MS


class HandlerSigns(Struct, frozen=True):
    """One handler at one moment, as one worker sees it.

    Shape:   `shards_evacuating` are those of which changes are being saved from the trim; `contested` those
             that are read here while their lease has named another worker for longer than a lease lasts.
    Units:   milliseconds. lag_ms as the metric; left_ms until the trim of the oldest change; stuck_ms the
             longest time that a shard has not moved whose oldest change waits for as long.
    """

    handler: str
    table: str
    lag_ms: int = 0
    left_ms: int = 24 * HOUR_MS
    stuck_ms: int = 0
    open_gaps: int = 0
    shards_evacuating: int = 0
    dead_letters: int = 0
    contested: tuple[str, ...] = ()


def holding(signs: HandlerSigns, bounds: AlertBounds, level: int) -> Mapping[AlertKind, str]:
    """The alerts that hold, each with what is the matter in words.

    Shape:   `level` is how many dead letters are known already.

    >>> list(holding(HandlerSigns("mail", "orders", lag_ms=900_001), AlertBounds(), 0).items())
    [('late', 'its oldest change waits for 15m')]
    """
    held: dict[AlertKind, str] = {}
    if signs.left_ms < bounds.left_ms:
        lag, left = duration(signs.lag_ms), duration(signs.left_ms)
        held["late"] = f"its oldest change waits for {lag}, and is trimmed in {left}"
    elif signs.lag_ms > bounds.late_ms:
        held["late"] = f"its oldest change waits for {duration(signs.lag_ms)}"
    if signs.stuck_ms > bounds.stuck_ms:
        held["stuck"] = f"changes wait, and nothing has moved for {duration(signs.stuck_ms)}"
    if signs.open_gaps:
        held["gap"] = f"{counted(signs.open_gaps, 'range')} of changes trimmed before they were handled"
    if signs.shards_evacuating:
        shards = counted(signs.shards_evacuating, "shard")
        held["evacuating"] = f"changes of {shards} are kept from the trim, until it handles them"
    if signs.dead_letters > level:
        held["dead letters"] = f"{counted(signs.dead_letters - level, 'more')}, {signs.dead_letters} in all"
    if signs.contested:
        held["two owners"] = f"two workers read {', '.join(signs.contested)}"
    return held


def counted(number: int, noun: str) -> str:
    """A number and its noun.

    >>> counted(1, "shard"), counted(2, "shard"), counted(3, "more")
    ('1 shard', '2 shards', '3 more')
    """
    return f"{number} {noun}" if number == 1 or noun == "more" else f"{number} {noun}s"


def duration(milliseconds: int) -> str:
    """A time for people, cut to its largest two units.

    >>> duration(0), duration(61_000), duration(5_400_000), duration(90_000_000)
    ('0s', '1m 1s', '1h 30m', '1d 1h')
    """
    seconds = milliseconds // 1_000
    parts = [(seconds // 86_400, "d"), (seconds // 3_600 % 24, "h"), (seconds // 60 % 60, "m")]
    words = [f"{count}{unit}" for count, unit in [*parts, (seconds % 60, "s")] if count]
    return " ".join(words[:2]) or "0s"
