"""Changes of tables that come over a Kinesis data stream, as DynamoDB puts them there: `app.kinesis`.

Rules of this file: the signature and what it means. What such a source does not keep, the order of an item's
changes and each of them once, the machine restores (mapping/holding.py); how far it can is decision 92.
Stands alone because app.py has no room; `App` is one of these.
"""

from dataclasses import dataclass
from typing import Any, Final

from tailrace.app.declaring import Declarations
from tailrace.app.entity import Entity
from tailrace.app.mapping import Target
from tailrace.app.retry import milliseconds_within
from tailrace.app.table import Changes, Over
from tailrace.errors import SettingsError
from tailrace.streams.kinesis.names import NAME

LONGEST_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class TableChanges:
    """A data stream that DynamoDB writes changes of tables to."""

    over: Over
    _declared: Declarations

    def __repr__(self) -> str:
        return f"app.kinesis({self.over.stream!r})"

    def of(self, target: Target) -> Changes[Entity[Any]]:
        """The changes that a target means, read from here: `@app.on(changes.of(Order))`. Raises:
        SettingsError.
        """
        return self._declared.changes(target).read_over(self.over)


class OverKinesis:
    """An app as far as changes over data streams ask it."""

    _declared: Declarations

    def kinesis(self, stream: str, *, disorder: str = "10s", waits_always: bool = False) -> TableChanges:
        """A data stream that DynamoDB writes changes of tables to, as a source of handlers and sinks.

        Shape:   `changes = app.kinesis("orders-changes")`, then `@app.on(changes.of(Order))` in the place of
                 `@app.on(Order)`. DynamoDB delivers at least once and not in order, so a change whose old
                 image is not the item's last one waits for the one before it, for `disorder` at most; then it
                 is handed over, and `tailrace gaps` names the item. With `waits_always` each change waits so
                 long: only then are items that come back to an image they had (removed and put in again)
                 in order whatever was overtaken; otherwise what is overtaken there is a dead letter.
        Units:   disorder a duration, "1ms" to "1h".
        Raises:  SettingsError.
        """
        named: object = stream
        if not isinstance(named, str) or not NAME.fullmatch(named):
            raise SettingsError(
                f"kinesis: {stream!r} is no data stream's name; it has 1 to 128 letters, digits, "
                "underscores, hyphens or dots"
            )
        disorder_ms = milliseconds_within("kinesis: disorder", disorder, 1, LONGEST_MS, "'1ms' to '1h'")
        flag: object = waits_always
        if not isinstance(flag, bool):
            raise SettingsError(f"kinesis: waits_always={flag!r} is not allowed; it is True or False")
        return TableChanges(Over(stream, disorder_ms, waits_always), self._declared)
