"""Which faults a test world injects, and when: a seed decides fault by fault, so each can be left out alone.

Theory of operation: every occasion for a fault has a name, such as `duplicate.3` for the third delivery that
could be repeated. Whether it strikes depends on the seed and that name only, so a run with some of its faults
left out is the same run otherwise.
Rules of this file: it decides and counts; faulting.py does the harm. Made by `world.faults`.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from types import TracebackType
from typing import Any, Final, Literal, TypeAlias

from tailrace.app.retry import milliseconds
from tailrace.errors import SettingsError
from tailrace.telemetry import DELIVERY_POINTS, PARKING_POINTS, STARTING_POINTS

WORKER_POINTS: Final = DELIVERY_POINTS + PARKING_POINTS + STARTING_POINTS
CRASH_NAMES: Final = {
    "before-effect": "invoke.begun",
    "after-effect": "invoke.done",
    "after-commit": "transaction.done",
    "before-checkpoint": "checkpoint.begun",
    "after-checkpoint": "checkpoint.done",
}
"""Words for crash points. The points' own names are allowed too, and "anywhere"."""
KINDS: Final = {
    "duplicates": "how often a change that was delivered comes again, 0 to 1; the first one does",
    "crash": f"where the worker dies: {', '.join(CRASH_NAMES)}, anywhere, a point of telemetry, or a list of "
    "them",
    "reshard": "how often every shard splits, as in '4h'; the first time after one of the first writes",
    "throttle": "how often a sink, the state store or the stream says that it is throttled, 0 to 1",
    "outage": "for how long every handler is unavailable, once, as in '10m'",
    "kinesis": "how often a change on its way from a table into a data stream comes late, while those of "
    "other items overtake it, or comes again, 0 to 1; the first one does both",
    "slow": "how long a handler takes at most, as in '30s'; every third call of a coroutine, and delivery to "
    "any other",
}
CRASHES: Final = 8
"""So many crashes at most: a worker that dies whenever it works would never be done."""
CRASH_RATE: Final = 0.2
SLOW_RATE: Final = 1 / 3
LATE_MS: Final = 5_000
"""How late a change comes into a data stream at most, and how long after it the same one comes again."""
KinesisKind: TypeAlias = Literal["kinesis-late", "kinesis-again"]
ALWAYS_FIRST: Final = ("duplicate", "kinesis-late", "kinesis-again")
MOST_SHARDS: Final = 8
"""A table that has so many open shards splits no further."""


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """The faults that were asked for. Units: milliseconds; None: none of it."""

    duplicates: float = 0
    throttle: float = 0
    crash: frozenset[str] = frozenset()
    reshard_ms: int | None = None
    outage_ms: int | None = None
    slow_ms: int | None = None
    kinesis: float = 0


def plan(asked: Mapping[str, Any]) -> FaultPlan:
    """What was asked for, checked. Raises: SettingsError.

    >>> plan({"crash": "after-effect", "reshard": "4h"})
    FaultPlan(duplicates=0, throttle=0, crash=frozenset({'invoke.done'}), reshard_ms=14400000, outage_ms=None,
    slow_ms=None, kinesis=0)
    """
    for name in asked:
        if name not in KINDS:
            known = "; ".join(f"{kind} ({words})" for kind, words in KINDS.items())
            raise SettingsError(f"faults: {name!r} is not known; there are {known}, and seed")
    return FaultPlan(
        _rate("duplicates", asked.get("duplicates", 0)),
        _rate("throttle", asked.get("throttle", 0)),
        _points(asked.get("crash", ())),
        _time("reshard", asked.get("reshard")),
        _time("outage", asked.get("outage")),
        _time("slow", asked.get("slow")),
        _rate("kinesis", asked.get("kinesis", 0)),
    )


def _rate(name: str, value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise SettingsError(f"faults: {name}={value!r} is not allowed; it is {KINDS[name]}")
    return value


def _time(name: str, value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise SettingsError(f"faults: {name}={value!r} is not allowed; it is {KINDS[name]}")
    time_ms = milliseconds(value)
    if time_ms <= 0:
        raise SettingsError(f"faults: {name}={value!r} is not allowed; it is longer than nothing")
    return time_ms


def _points(value: object) -> frozenset[str]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, Collection):
        raise SettingsError(f"faults: crash={value!r} is not allowed; it is {KINDS['crash']}")
    points: set[str] = set()
    for name in names:
        if name == "anywhere":
            points.update(WORKER_POINTS)
        elif name in CRASH_NAMES:
            points.add(CRASH_NAMES[name])
        elif name in WORKER_POINTS:
            points.add(str(name))
        else:
            known = ", ".join((*CRASH_NAMES, "anywhere", *WORKER_POINTS))
            raise SettingsError(f"faults: crash={name!r} is no crash point of a worker; there are {known}")
    return frozenset(points)


class Struck(Mapping[str, int]):
    """How often each fault of one block of `world.faults` has struck: `struck["duplicates"]`. It counts on
    until the block ends.

    >>> print(Struck({"duplicates": 0.3, "slow": "1s"}, ["duplicate.1", "duplicate.4"]))
    duplicates 2, slow 0
    """

    def __init__(self, asked: Mapping[str, Any], occasions: list[str], first: int = 0) -> None:
        self._kinds = [kind for kind in KINDS if asked.get(kind)]
        self._occasions = occasions
        self._first = first
        self._until: int | None = None

    def end(self) -> None:
        """Count no more."""
        self._until = len(self._occasions)

    def __getitem__(self, kind: str) -> int:
        if kind not in self._kinds:
            raise KeyError(kind)
        prefix = kind.removesuffix("s")
        return sum(occasion.startswith(prefix) for occasion in self._occasions[self._first : self._until])

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)

    def __str__(self) -> str:
        return ", ".join(f"{kind} {count}" for kind, count in self.items())


@dataclass(slots=True)
class Faults:
    """The faults of one world. Shape: `only` are the occasions that may strike; None: all of them.

    Guarantee: with the same seed, whether an occasion strikes does not depend on which others did.
    """

    seed: int = 0
    only: frozenset[str] | None = None
    plan: FaultPlan = FaultPlan()
    waiting: "list[FaultBlock]" = field(default_factory=list)
    """Blocks that were made and not entered."""
    struck: list[str] = field(default_factory=list)
    """The occasions that struck, in order."""
    blocks: list[Struck] = field(default_factory=list)
    """What struck in each block, in order."""
    reshard_ms: int | None = None
    """The monotonic time of the next one; None: none is due."""
    _occasions: Counter[str] = field(default_factory=Counter)
    _outages: dict[str, int] = field(default_factory=dict)
    _crashes: int = 0
    _reshard_write: int = 0
    _firsts: dict[str, int] = field(default_factory=dict)
    """The first occasion of a block for each kind that strikes then: no block is without."""

    @property
    def are_injected(self) -> bool:
        """Whether there are any."""
        return self.plan != FaultPlan()

    def check_entered(self) -> None:
        """Refuse to go on without the faults that were asked for. Raises: SettingsError."""
        if self.waiting:
            block = self.waiting.pop()
            self.waiting.clear()
            raise SettingsError(
                f"world.faults({block.words}) was called without `with`, so nothing was injected",
                hint=f"with world.faults({block.words}): and what shall happen under them, settle() included",
            )

    def begin(self, asked: Mapping[str, Any], seed: int) -> Struck:
        """Inject these from now on. Returns: how often they strike. Raises: SettingsError."""
        if self.are_injected:
            raise SettingsError("faults: there are some already; leave their `with` block first")
        self.plan, self.seed = plan(asked), seed
        self._outages.clear()
        self._crashes = 0
        self.reshard_ms = None
        if self.plan.reshard_ms is not None:
            self._reshard_write = self._occasions["write"] + 1 + self.random("reshard").randrange(3)
        self.blocks.append(Struck(asked, self.struck, len(self.struck)))
        self._firsts = {kind: self._occasions[kind] + 1 for kind in ALWAYS_FIRST}
        return self.blocks[-1]

    def end(self) -> None:
        """Inject nothing more."""
        self.blocks[-1].end()
        self.plan, self.reshard_ms, self._reshard_write = FaultPlan(), None, 0

    @contextmanager
    def calm(self) -> Iterator[None]:
        """Nothing strikes while the block runs."""
        planned, self.plan = self.plan, FaultPlan()
        try:
            yield
        finally:
            self.plan = planned

    def random(self, occasion: str) -> Random:
        """Chance for one occasion."""
        return Random(f"{self.seed}/{occasion}")

    def _strikes(self, kind: str, rate: float) -> str | None:
        """The occasion's name when it strikes."""
        if not rate:
            return None
        self._occasions[kind] += 1
        occasion = f"{kind}.{self._occasions[kind]}"
        if self.random(occasion).random() >= rate or not self._may(occasion):
            return None
        self.struck.append(occasion)
        return occasion

    def _may(self, occasion: str) -> bool:
        return self.only is None or occasion in self.only

    def duplicate(self) -> str | None:
        """Whether this delivered change comes again. The first one of a block does."""
        return self._strikes_first("duplicate", self.plan.duplicates)

    def _strikes_first(self, kind: str, rate: float) -> str | None:
        """The same, and the first one of a block always strikes."""
        is_first = self._occasions[kind] + 1 == self._firsts.get(kind)
        return self._strikes(kind, 1.0 if is_first and rate else rate)

    def kinesis_ms(self, kind: KinesisKind) -> int | None:
        """For how long a change is held back on its way into a data stream, or after how long it comes again;
        None: it is not.
        """
        struck = self._strikes_first(kind, self.plan.kinesis)
        return None if struck is None else 1 + int(self.random(f"{struck}/ms").random() * LATE_MS)

    def throttle(self, port: str) -> str | None:
        """Whether this call is throttled."""
        return self._strikes(f"throttle-{port}", self.plan.throttle)

    def crash(self, point: str) -> str | None:
        """Whether the worker dies here: the first time that it passes, and at random ones later."""
        if point not in self.plan.crash or self._crashes >= CRASHES:
            return None
        is_first = not self._occasions[f"crash-{point}"]
        struck = self._strikes(f"crash-{point}", 1.0 if is_first else CRASH_RATE)
        self._crashes += struck is not None
        return struck

    def delay_ms(self) -> tuple[str | None, int, int]:
        """How long a handler takes before its effect and after it."""
        if self.plan.slow_ms is None:
            return None, 0, 0
        struck = self._strikes("slow", SLOW_RATE)
        if struck is None:
            return None, 0, 0
        chance = self.random(f"{struck}/ms")
        total = 1 + int(chance.random() * self.plan.slow_ms)
        before = chance.choice((0, total, total // 2))
        return struck, before, total - before

    def outage_left_ms(self, handler: str, now_ms: int) -> int:
        """For how long a handler is still unavailable; its outage begins with its first delivery."""
        if self.plan.outage_ms is None:
            return 0
        if handler not in self._outages:
            occasion = f"outage-{handler}"
            self._outages[handler] = now_ms + self.plan.outage_ms if self._may(occasion) else 0
            if self._outages[handler]:
                self.struck.append(occasion)
        return max(0, self._outages[handler] - now_ms)

    def written(self, now_ms: int) -> None:
        """Something was written: the first reshard comes after one of the first writes."""
        self._occasions["write"] += 1
        if self._occasions["write"] == self._reshard_write:
            self.reshard_ms = now_ms

    def reshard(self, now_ms: int) -> str | None:
        """Whether every shard splits now."""
        if self.reshard_ms is None or self.plan.reshard_ms is None or now_ms < self.reshard_ms:
            return None
        self.reshard_ms = now_ms + self.plan.reshard_ms
        return self._strikes("reshard", 1.0)


class FaultBlock:
    """What `world.faults` answers: `with` injects the faults while its block runs.

    Guarantee: a world that goes on before the block was entered refuses.
    Raises:    SettingsError when it is made, with everything that there is.
    """

    def __init__(
        self, faults: Faults, asked: Mapping[str, Any], seed: int, on_end: Callable[[Struck], None]
    ) -> None:
        plan(asked)
        self._faults = faults
        self._asked = asked
        self._seed = seed
        self._on_end = on_end
        self._begun: list[Struck] = []
        faults.waiting.append(self)

    @property
    def words(self) -> str:
        """What was asked for, as it was written."""
        return ", ".join(f"{name}={value!r}" for name, value in self._asked.items() if value)

    def __enter__(self) -> Struck:
        if self in self._faults.waiting:
            self._faults.waiting.remove(self)
        self._begun.append(self._faults.begin(self._asked, self._seed))
        return self._begun[-1]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._faults.end()
        self._on_end(self._begun.pop())
