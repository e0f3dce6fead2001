"""Every error that Tailrace raises, on one page.

Rules of this file: whose fault it is shows in the class; the docstring is the default message and says what
to do; a hint is a command to type. Expected outcomes (`Written`, `Failed`) are values, never exceptions.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

VALIDATION = "com.amazon.coral.validate#"
SERVICE = "com.amazonaws.dynamodb.v20120810#"
CORAL = "com.amazon.coral.service#"
VARYING: Final = re.compile(r"0x[0-9a-fA-F]+|'[^']*'|\"[^\"]*\"|\b[0-9a-fA-F-]{32,}\b|\d+")
FRAME: Final = re.compile(r'File "([^"]+)", line \d+, in (\S+)')


def fingerprint(error: str, traceback: str = "") -> str:
    """The same for failures that look alike: the kind of error, its words without what varies, and where it
    was raised.

    >>> fingerprint("KeyError: 'o1'") == fingerprint("KeyError: 'o2'")
    True
    """
    frames = FRAME.findall(traceback)
    place = f"{frames[-1][0].rpartition('/')[2]}:{frames[-1][1]}" if frames else ""
    words = VARYING.sub("#", error.partition("\n")[0])[:200]
    return f"{words} @{place}" if place else words


class TailraceError(Exception):
    """Something went wrong in Tailrace."""

    retryable: ClassVar[bool] = False

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())
        self.hint = hint

    def __str__(self) -> str:
        message = str(self.args[0])
        return f"{message}\n  next: {self.hint}" if self.hint else message


class ApiError(TailraceError):
    """An answer that goes over the wire, in AWS's exact words.

    Shape:   `code` is AWS's name, `prefix` what precedes it in `__type`, `extra` further members of the body;
             `note` is for our own log and never goes over the wire.
    Source:  semantics §6.1.
    """

    def __init__(
        self,
        code: str,
        message: str | None,
        *,
        status: int = 400,
        prefix: str = SERVICE,
        extra: Mapping[str, object] | None = None,
        note: str = "",
    ) -> None:
        super().__init__(message or code)
        self.code = code
        self.message = message
        self.status = status
        self.prefix = prefix
        self.extra = dict(extra or {})
        self.note = note


def invalid_parameter(message: str) -> ApiError:
    """Lambda's word for a value that its front end let pass."""
    return ApiError("InvalidParameterValueException", message)


def validation_error(message: str) -> ApiError:
    """A `ValidationException` with AWS's prefix for it."""
    return ApiError("ValidationException", message, prefix=VALIDATION)


class SettingsError(TailraceError, ValueError):
    """The configuration is wrong: the message names the option, the value and the bound."""


class PatternError(SettingsError):
    """An event pattern is not valid: the message is the reason, in the words of AWS's engine."""


class ItemError(TailraceError, ValueError):
    """An item does not fit its class: the message names the class, the field and the value."""


class Conflict(TailraceError):
    """Another writer has appended to an aggregate: the version that was expected is not the one that it has.

    Shape:   `aggregate` is the first that lost, `lost` all of them with their versions, for people;
             `expected` is the version that was asked for, or decided on; `actual` the one that is known to
             be there.
    """

    def __init__(
        self, aggregate: str, *, expected: int, actual: int, lost: str = "", attempts: int = 0
    ) -> None:
        wanted = "no event yet" if expected == 0 else f"version {expected}"
        is_at = "no event" if actual == 0 else f"version {actual}"
        words = f"{aggregate}: {wanted} was expected, and it has {is_at}"
        if attempts:
            words = f"the command lost {attempts} times to other writers, last of {lost}"
        super().__init__(words, hint="load it again and decide anew; expected=None takes any version")
        self.aggregate = aggregate
        self.expected = expected
        self.actual = actual
        self.attempts = attempts


class MissingEvents(TailraceError):
    """An event of an aggregate is not in its table, and a later one is: its state is not known."""


class NotKnown(TailraceError):
    """What is asked of the past is not in the journal: the message says why, and from when on it is known."""


class InternalError(TailraceError):
    """This should never happen; please report it, with this seed or trace."""


class PortError(TailraceError):
    """The world failed: a store, source, sink or archive did not answer as it must.

    Units:   retry_after_ms, the least time to wait before it is asked again, where the other side says so.
    """

    retryable = True

    def __init__(
        self, message: str | None = None, *, hint: str | None = None, retry_after_ms: int = 0
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_ms = retry_after_ms


class StoreError(PortError):
    """The data directory could not be read or written."""


class OutcomeUnknown(StoreError):
    """The connection was lost while something was written: it is there or it is not. Read, and compare."""


class DamagedData(StoreError):
    """What is kept is not what was written: its checksum differs. `tailrace check` lists all of it; restore a
    copy.

    Shape:   a row has `table` and `key`; a record of a stream's log has `shard` and `sequence`, and
             `readable` are the records before it.
    """

    retryable = False

    def __init__(
        self,
        message: str | None = None,
        *,
        table: int | None = None,
        key: bytes = b"",
        shard: int | None = None,
        sequence: int = 0,
        readable: Sequence[Any] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.table = table
        self.key = key
        self.shard = shard
        self.sequence = sequence
        self.readable = readable


class StateConflict(PortError):
    """A conditional write of state found another state than it expected."""

    retryable = False

    def __init__(self, message: str | None = None, *, index: int = 0, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.index = index


class SourceError(PortError):
    """A stream could not be read."""


class SinkError(PortError):
    """A sink did not accept a batch."""


class SinkOutage(SinkError):
    """The other side of a handler is not there: no attempt is used up, and the handler pauses and probes.

    Units:   retry_after in seconds, the least time to wait.
    """

    def __init__(
        self, message: str | None = None, *, retry_after: float = 0.0, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint, retry_after_ms=round(retry_after * 1_000))
        self.retry_after = retry_after


class Throttled(SinkOutage):
    """Raise it in a handler when the other side wants fewer calls: the change is tried again, without end."""


class Unavailable(SinkOutage):
    """Raise it in a handler when the other side is down: the change is tried again, without end."""


class Refused(SinkError):
    """Raise it in a handler when a change can never be accepted: it is given up at once, and not tried
    again.
    """

    retryable = False


class ArchiveError(PortError):
    """An archive could not be read or written."""


class LeaseHeld(PortError):
    """Another worker holds the lease, and lives as far as is known: it is looked at again later."""


class ReplayStopped(TailraceError):
    """A live replay stands still before a change that its handler fails for, or was taken up elsewhere."""


class NameInUse(TailraceError):
    """Two workers run under one name: each takes the other's leases and claims for its own, so one of them
    ends.
    """


class LeaseLost(PortError):
    """Another worker has taken the lease: this one stops without saving anything more."""

    retryable = False
