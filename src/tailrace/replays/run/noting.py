"""What is noted while a handler runs on trial, and whose notes a call belongs to.

Theory of operation: each change has notes of its own, with its time and its chance. They are found by the
context in which the handler runs, which tasks and threads of the usual kinds inherit; by the thread that the
handler has started; and, in a process that does nothing else, by everything that is no thread of ours.
Rules of this file: one trial runs in a process at a time. What nothing answers is raised as no Exception, so
that no `except Exception` of the handler goes on as if there were an answer.
"""

import os
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn
from weakref import WeakKeyDictionary

import orjson

from tailrace.errors import SettingsError, SinkError, Unavailable
from tailrace.replays.core.chance import Chance, seed_of
from tailrace.replays.core.effects import EffectKind, ReplayEffect
from tailrace.sinks.documents import to_json
from tailrace.streams.record import ChangeRecord
from tailrace.values.types import Item

OURS: Final = "tailrace reads for a replay"
THEIRS: Final = "tailrace trial of"
"""What the names of threads begin with that read journals during a trial, or run its handlers."""
_PYTHONS: Final = (
    str(Path(__file__).parents[2]) + os.sep,
    *(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib")),
    "<",
)
_INSTALLED: Final = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


class Unanswered(BaseException):
    """A handler on trial calls something that nothing answers."""


class Notes:
    """The notes of one change, or of one window, which has the record that stands for it and no table. Units:
    now_us is the handler's time, since the epoch; sleeping moves it.
    """

    def __init__(self, table: str, record: ChangeRecord) -> None:
        self.table = table
        self.record = record
        self.now_us = record.created_us
        self.chance = Chance(seed_of(table, record.key, record.version))
        self.effects: list[ReplayEffect] = []
        self.unknown = ""
        self.outage: Unavailable | None = None
        """What ends the whole trial: a journal did not answer, which says nothing of the handler."""
        self.written: dict[tuple[str, bytes], Item | None] = {}
        """Items as the handler itself has left them, by table and key."""

    def note(self, kind: EffectKind, target: str, key: str, body: str) -> None:
        """An effect; none after a call that nothing has answered."""
        if not self.unknown:
            self.effects.append(ReplayEffect(kind, target, key, body))

    def refuse(self, call: str) -> NoReturn:
        """Nothing answers this call: what comes after it is not known. Raises: Unanswered."""
        self.unknown = self.unknown or f"{call}{_called_in()}"
        raise Unanswered(self.unknown)

    def stop(self, outage: Unavailable) -> NoReturn:
        """A journal that may well know the answer is away: the trial ends. Raises: Unanswered."""
        self.outage = self.outage or outage
        raise Unanswered(str(outage.args[0]))


class _Trial:
    """The trial of this process."""

    def __init__(self) -> None:
        self.is_on = False
        self.is_alone = False
        self.current: Notes | None = None
        self.threads: WeakKeyDictionary[threading.Thread, Notes] = WeakKeyDictionary()


_TRIAL: Final = _Trial()
_NOTES: Final[ContextVar[Notes | None]] = ContextVar("tailrace_trial", default=None)


def is_on() -> bool:
    """Whether a trial runs in this process."""
    return _TRIAL.is_on


def notes_here() -> Notes | None:
    """The notes that a call made here belongs to; None: it is no handler's."""
    if not _TRIAL.is_on:
        return None
    if (notes := _NOTES.get()) is not None:
        return None if _is_ours() else notes
    thread = threading.current_thread()
    if thread.name.startswith(THEIRS) or (_TRIAL.is_alone and not _is_ours()):
        return _TRIAL.threads.get(thread, _TRIAL.current)
    return _TRIAL.threads.get(thread)


def note_thread(thread: threading.Thread) -> None:
    """A thread is begun here: what it calls belongs to who began it, but for those that serve all changes."""
    notes = notes_here()
    if notes is None or thread.name.startswith(("tailrace ", "asyncio_")):
        return
    _TRIAL.threads[thread] = notes
    run = thread.run

    def run_quietly() -> None:
        with suppress(Unanswered):
            run()

    thread.run = run_quietly  # type: ignore[method-assign]


@contextmanager
def trial(*, alone: bool) -> Iterator[None]:
    """Let handlers be on trial in this process; `alone`: it does nothing else. Raises: SettingsError."""
    if _TRIAL.is_on:
        raise SettingsError("another dry run goes on in this process", hint="wait for it, then run this one")
    _TRIAL.is_on, _TRIAL.is_alone = True, alone
    try:
        yield
    finally:
        _TRIAL.is_on = _TRIAL.is_alone = False
        _TRIAL.current = None


@contextmanager
def noting(notes: Notes) -> Iterator[None]:
    """What is called in this block is called for this change."""
    token = _NOTES.set(notes)
    _TRIAL.current = notes
    try:
        yield
    finally:
        _TRIAL.current = None
        _NOTES.reset(token)


def body_of(value: object) -> str:
    """Any value as JSON text; what has no place in JSON by its type alone."""
    try:
        return to_json(value).decode()
    except SinkError:
        return orjson.dumps(_plain(value), option=orjson.OPT_NON_STR_KEYS).decode()


def key_text(key: object) -> str:
    """A key as JSON text that is the same for the same key, however its attributes are ordered."""
    return orjson.dumps(key, option=orjson.OPT_SORT_KEYS).decode()


def _plain(value: object) -> Any:
    match value:
        case dict():
            return {str(name): _plain(member) for name, member in value.items()}
        case list() | tuple():
            return [_plain(member) for member in value]
        case _:
            try:
                return orjson.Fragment(to_json(value))
            except SinkError:
                return f"<{type(value).__module__}.{type(value).__qualname__}>"


def is_theirs(file: str) -> bool:
    """Whether a file is the user's, rather than Python's, installed, or ours."""
    return not file.startswith(_PYTHONS) and not any(folder in file for folder in _INSTALLED)


def _is_ours() -> bool:
    return threading.current_thread().name.startswith(OURS)


def _called_in() -> str:
    """The innermost function of the user's that led here."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if is_theirs(frame.f_code.co_filename):
            return f", called in {frame.f_code.co_qualname}"
        frame = frame.f_back
    return ""
