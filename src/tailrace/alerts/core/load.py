"""Whether a handler's settings fit its load: concurrency that cannot be used, a lag that grows and will not
be worked off, reads that are throttled because others read too.

Theory of operation: each worker looks at its own shards now and then and keeps the looks of some minutes.
What holds over all of them is told, once, with the numbers; when it no longer holds that is known, and it is
told again if it comes back. A lag that grows by a part g of the time that passes means that changes come
1/(1 − g) times as fast as they are handled.
Rules of this file: pure; nothing is told that one look shows by chance, but for what the settings say alone.
Called by alerts/run/load.py. Stands alone because alerts of people are rows, and this is one process's log.
"""

from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from tailrace.alerts.core.signs import duration

LoadKind: TypeAlias = Literal["threads", "unused", "falling behind", "throttled", "readers"]
LOOKS: Final = 10
"""So many looks in a row have to agree."""
LEAST_LAG_MS: Final = 30_000
"""A lag below that is nobody's business."""
LEAST_GROWTH: Final = 0.05
"""Seconds a second: three seconds a minute."""
MOST_READERS: Final = 2
"""Of one shard. Source: reference/fleet §1.1."""


class LoadLook(Struct, frozen=True):
    """One handler in the shards of one worker at one moment.

    Shape:   `width` batches of each of `shards` may be at the handler at once; `threads` are those that its
             calls take, None: they take none; `at_handler` batches are there, `waiting_shards` have changes
             that wait besides; `handled` counts changes, and only rises; `throttled` reads that were, in the
             same way; `crowded` are shards with more readers than two. `is_held` says that it is paused,
             blocked or fails, so that its load says nothing of its settings.
    Units:   milliseconds; at_ms monotonic, lag_ms the age of the oldest change that is not settled,
             retention_ms how long the stream keeps one.
    """

    at_ms: int
    shards: int
    width: int
    at_handler: int = 0
    waiting_shards: int = 0
    lag_ms: int = 0
    handled: int = 0
    throttled: int = 0
    threads: int | None = None
    crowded: tuple[str, ...] = ()
    is_held: bool = False
    retention_ms: int = 86_400_000


class LoadWarning(Struct, frozen=True):
    """What is told. Shape: `hint` is the next command, with {handler}."""

    kind: LoadKind
    words: str
    hint: str


PLAN: Final = "tailrace plan {handler} --app APP --recorded 1h --sweep shards=1,2,4 says what helps"


class LoadHistory:
    """The last looks at one handler, and what was told of it."""

    def __init__(self) -> None:
        self._looks: deque[LoadLook] = deque(maxlen=LOOKS)
        self._told: set[LoadKind] = set()

    def look(self, look: LoadLook) -> list[LoadWarning]:
        """Take one more look. Returns: what is to be told now."""
        if look.is_held or (self._looks and look.handled < self._looks[-1].handled):
            self._looks.clear()  # another worker's shards came, or it stands still for another reason
        self._looks.append(look)
        held = [warning for warning in judged(list(self._looks)) if warning is not None]
        news = [warning for warning in held if warning.kind not in self._told]
        self._told = {warning.kind for warning in held}
        return news


def judged(looks: Sequence[LoadLook]) -> list[LoadWarning | None]:
    """What holds over these looks."""
    last = looks[-1]
    told = [_threads(last), _readers(last)]
    if len(looks) >= LOOKS and not last.is_held:
        told += [_unused(looks), _falling_behind(looks), _throttled(looks)]
    return told


def _threads(look: LoadLook) -> LoadWarning | None:
    allowed = look.shards * look.width
    if look.threads is None or look.width < 2 or allowed <= look.threads:
        return None
    return LoadWarning(
        "threads",
        f"may have {allowed} batches at once ({look.width} in each of {look.shards} shards), and a function "
        f"that blocks has {look.threads} threads here: more than that wait",
        "async def needs no thread; more workers have threads of their own",
    )


def _readers(look: LoadLook) -> LoadWarning | None:
    if not look.crowded:
        return None
    return LoadWarning(
        "readers",
        f"shard {look.crowded[0]} has more than {MOST_READERS} readers, this worker among them: AWS "
        "throttles all of them then",
        "one worker reads a shard once for all of its handlers: give them one app; or read Kinesis",
    )


def _throttled(looks: Sequence[LoadLook]) -> LoadWarning | None:
    rises = sum(after.throttled > before.throttled for before, after in pairwise(looks))
    if rises < LOOKS // 3:
        return None
    count = looks[-1].throttled - looks[0].throttled
    return LoadWarning(
        "throttled",
        f"{count} reads of its shards were throttled in {_span(looks)}: this worker keeps to five a second "
        "of a shard, so another reader is there, and a shard takes two",
        "tailrace leases ls shows this app's; the other may be a function, a KCL application or another app",
    )


def _unused(looks: Sequence[LoadLook]) -> LoadWarning | None:
    allowed = min(look.shards * look.width for look in looks)
    most = max(look.at_handler for look in looks)
    is_waiting = all(look.waiting_shards and look.lag_ms >= LEAST_LAG_MS for look in looks)
    possible = min(look.waiting_shards * look.width for look in looks)
    if not is_waiting or allowed < 2 or most * 2 > possible:
        return None
    return LoadWarning(
        "unused",
        f"may have {allowed} batches at once and had {most} at most in {_span(looks)}, although changes "
        "waited: they wait behind others of their item or lane, and more concurrency brings nothing",
        PLAN,
    )


def _falling_behind(looks: Sequence[LoadLook]) -> LoadWarning | None:
    first, last = looks[0], looks[-1]
    passed_ms = last.at_ms - first.at_ms
    rises = all(after.lag_ms >= before.lag_ms for before, after in pairwise(looks))
    growth = (last.lag_ms - first.lag_ms) / passed_ms if passed_ms > 0 else 0.0
    if not rises or growth < LEAST_GROWTH or last.lag_ms < LEAST_LAG_MS:
        return None
    handled = (last.handled - first.handled) * 1_000 / passed_ms
    rates = "none is handled"
    if growth < 1:
        come = handled / (1 - growth)
        rates = f"about {come:,.1f} changes a second come and {handled:,.1f} are handled"
    left_ms = max(0, last.retention_ms - last.lag_ms)
    used = sum(look.at_handler for look in looks) / len(looks)
    return LoadWarning(
        "falling behind",
        f"falls behind: its oldest change waited for {duration(first.lag_ms)}, {_span(looks)} later for "
        f"{duration(last.lag_ms)}; {rates}, with {used:,.1f} of {last.shards * last.width} batches at once; "
        f"at this rate changes are trimmed in {duration(round(left_ms / growth))}",
        PLAN,
    )


def _span(looks: Sequence[LoadLook]) -> str:
    return duration(looks[-1].at_ms - looks[0].at_ms)
