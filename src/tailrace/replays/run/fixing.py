"""Time and chance of a handler on trial: those of its change, whenever and wherever it is replayed.

Theory of operation: functions of the standard library are laid over for the time of a trial, and ask whose
call it is: a handler's gets the time at which its change was made, and bytes drawn from the change itself;
anybody else's gets the real ones. `uuid4`, `secrets` and `SystemRandom` draw from `os.urandom`; the functions
of `random` share one generator, which is seeded before each change and is as before after the trial. Sleeping
does not wait, and moves the handler's time.
Rules of this file: dates and times are laid over in modules that have `datetime`, `date` or their module
before the trial, and functions by their names too, unless they are Python's, installed, or ours. What is not
fixed docs/replay.md lists.
"""

import datetime as datetimes
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from types import ModuleType
from typing import Any, Final

from tailrace.replays.core.chance import Chance
from tailrace.replays.run.noting import Notes, is_theirs, notes_here

EPOCH: Final = datetime.fromtimestamp(0, datetimes.UTC)
SEED_BYTES: Final = 32


def _utc(notes: Notes) -> datetime:
    return EPOCH + datetimes.timedelta(microseconds=notes.now_us)


class _Instances(type):
    """What is a real date or time is one of the class that stands for it, too."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls.__mro__[1])

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, cls.__mro__[1])


class FixedDatetime(datetime, metaclass=_Instances):
    """Stands for `datetime.datetime`; makes real ones."""

    def __new__(cls, *args: Any, **named: Any) -> Any:
        """A real one."""
        return datetime(*args, **named)

    @classmethod
    def now(cls, tz: datetimes.tzinfo | None = None) -> Any:
        """The handler's time."""
        notes = notes_here()
        if notes is None:
            return datetime.now(tz)
        moment = _utc(notes).astimezone(tz)
        return moment.replace(tzinfo=None) if tz is None else moment

    @classmethod
    def today(cls) -> Any:
        """The handler's time, without a zone."""
        return cls.now()

    @classmethod
    def utcnow(cls) -> Any:
        """The handler's time in UTC, without a zone."""
        return cls.now(datetimes.UTC).replace(tzinfo=None)


class FixedDate(date, metaclass=_Instances):
    """Stands for `datetime.date`; makes real ones."""

    def __new__(cls, *args: Any, **named: Any) -> Any:
        """A real one."""
        return date(*args, **named)

    @classmethod
    def today(cls) -> Any:
        """The handler's day."""
        return FixedDatetime.now().date()


def _seconds(real: Callable[..., Any]) -> Callable[[], float]:
    def seconds() -> float:
        notes = notes_here()
        return float(real()) if notes is None else notes.now_us / 1_000_000

    return seconds


def _nanoseconds(real: Callable[..., Any]) -> Callable[[], int]:
    def nanoseconds() -> int:
        notes = notes_here()
        return int(real()) if notes is None else notes.now_us * 1_000

    return nanoseconds


def _struct(real: Callable[..., Any]) -> Callable[..., time.struct_time]:
    def struct(seconds: float | None = None) -> time.struct_time:
        notes = notes_here()
        if seconds is None and notes is not None:
            seconds = notes.now_us / 1_000_000
        answer: time.struct_time = real(seconds)
        return answer

    return struct


def _sleep(real: Callable[..., Any]) -> Callable[[float], None]:
    def sleep(seconds: float) -> None:
        notes = notes_here()
        if notes is None:
            real(seconds)
        else:
            notes.now_us += round(seconds * 1_000_000)

    return sleep


def _bytes(real: Callable[..., Any]) -> Callable[[int], bytes]:
    def drawn(size: int) -> bytes:
        notes = notes_here()
        return bytes(real(size)) if notes is None else notes.chance.take(size)

    return drawn


LAID_OVER: Final[tuple[tuple[Any, str, Callable[..., Any]], ...]] = (
    (time, "time", _seconds),
    (time, "time_ns", _nanoseconds),
    (time, "gmtime", _struct),
    (time, "localtime", _struct),
    (time, "sleep", _sleep),
    (os, "urandom", _bytes),
    (random, "_urandom", _bytes),
)


def _module() -> ModuleType:
    """Stands for the module `datetime`, in modules of the user's alone: extensions that are imported
    meanwhile take the classes of the real one.
    """
    stands = ModuleType(datetimes.__name__, datetimes.__doc__)
    vars(stands).update(vars(datetimes), datetime=FixedDatetime, date=FixedDate)
    return stands


@contextmanager
def fixed() -> Iterator[None]:
    """Lay time and chance over this process, for handlers on trial alone."""
    replaced: dict[int, tuple[Any, Any]] = {
        id(real): (real, stands)
        for real, stands in ((datetime, FixedDatetime), (date, FixedDate), (datetimes, _module()))
    }
    laid: list[tuple[Any, str, Any]] = []
    state = random.getstate()

    def put(owner: Any, name: str, value: Any) -> None:
        laid.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    try:
        for owner, name, made in LAID_OVER:
            real = getattr(owner, name)
            stands = replaced.setdefault(id(real), (real, made(real)))[1]
            put(owner, name, stands)
        for module in _theirs():
            for name, value in [*vars(module).items()]:
                if (pair := replaced.get(id(value))) is not None and pair[0] is value:
                    put(module, name, pair[1])
        yield
    finally:
        for owner, name, before in reversed(laid):
            setattr(owner, name, before)
        random.setstate(state)


def begin_chance(notes: Notes) -> None:
    """Seed what draws for a change from one generator of the process."""
    random.seed(int.from_bytes(Chance(notes.chance.seed).take(SEED_BYTES)))


def _theirs() -> Iterator[ModuleType]:
    for module in sys.modules.copy().values():
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and is_theirs(file):
            yield module
