"""What a handler leaves behind, as values: they print, are kept in lines, and compare.

Theory of operation: a dry run calls a handler for one change after the other and notes what it would have
left: outputs, recorded writes, writes of its client, calls that a stub answered, the dead letter of a
failure. A call that nothing answers ends what is known of that change.
Rules of this file: pure; the body of an effect is JSON text, so that what is kept is what is compared.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

EffectKind: TypeAlias = Literal["output", "transaction", "write", "call", "deadletter"]
FORMAT: Final = 1


class ReplayEffect(Struct, frozen=True):
    """One effect of a handler.

    Shape:   `kind` is output (a value for the handler's sink, or a change for the sink of a table),
             transaction (a write on `change.transaction`), write (one of `app.client`), call (one that a stub
             answered) or deadletter (the handler raised). `target` is where it goes: a sink, an operation and
             its table, the name of a stub, an exception; `key` of what is written, JSON text, or "". `body`
             is JSON text.
    """

    kind: EffectKind
    target: str
    key: str
    body: str

    @property
    def value(self) -> Any:
        """The body's JSON, numbers with all their digits."""
        return read_json(self.body)


class ReplayedWindow(Struct, frozen=True):
    """Which window a handler was called for. Shape: `key` what `by` says, JSON text; `group` the same as an
    attribute value; `items` are the keys of what was in it, JSON texts. Units: ms since the epoch.
    """

    key: str
    group: str
    start_ms: int
    end_ms: int
    items: tuple[str, ...] = ()


class ReplayedChange(Struct, frozen=True):
    """What a handler did for one change, or for one window.

    Shape:   `place` is which of the changes, or windows, of the replay it is, from 0; `version` as rows keep
             it; `key` the item's, JSON text, of a window its `key` and `start`. `unknown` names the call that
             nothing answers: what it did after that is not known, and `effects` are those of before it.
    Units:   created_us since the epoch.
    """

    place: int
    version: str
    key: str
    event: str
    created_us: int
    effects: tuple[ReplayEffect, ...] = ()
    unknown: str = ""
    window: ReplayedWindow | None = None

    @property
    def order(self) -> tuple[int, str, int]:
        """Where it comes among others of its replay: a window by what it is, for another revision may have
        others.
        """
        if self.window is None:
            return self.place, "", 0
        return self.window.end_ms, self.window.group, self.window.start_ms


class ReplayCounts(Struct):
    """How far a replay is: changes read, those (or the windows) that the handler was called for, and of them
    those of which not all is known.
    """

    changes: int = 0
    called: int = 0
    unknown: int = 0
    effects: int = 0


class ReplayEnd(Struct, frozen=True, tag="end"):
    """The last line of what is kept of a dry run: without it the run was cut off."""

    counts: ReplayCounts
    notes: tuple[str, ...] = ()
    v: int = FORMAT


def read_json(text: str) -> Any:
    """A JSON text; numbers that are not whole by their digits, so that 1 and 1.0 differ."""
    return _NUMBERED.decode(text)


_NUMBERED: Final = msgspec.json.Decoder(float_hook=lambda digits: Digits(digits))
_CHANGE: Final = msgspec.json.Decoder(ReplayedChange)
_END: Final = msgspec.json.Decoder(ReplayEnd)
_ENCODE: Final = msgspec.json.Encoder()


class Digits(str):
    """A number that is not whole, by its digits."""

    __slots__ = ()


def line_of(value: ReplayedChange | ReplayEnd) -> bytes:
    """One line of what is kept of a dry run."""
    return _ENCODE.encode(value) + b"\n"


def read_lines(lines: Iterable[bytes]) -> Iterator[ReplayedChange | ReplayEnd]:
    """What was kept of a dry run, the end last. Raises: msgspec.MsgspecError for lines that are none."""
    for line in lines:
        yield _END.decode(line) if line.startswith(b'{"type":"end"') else _CHANGE.decode(line)
