"""What an on-failure destination is told: a notice about one batch that was given up, kept until it is
delivered.

Rules of this file: a layout over one row, format 3, docs/formats/state.md; the letters hold the records.
Written in the transaction of the checkpoint that passes them. Called by deadletters/run/courier.py. Source:
semantics §2.8.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from tailrace.rows.kinds import OUTBOX
from tailrace.rows.writes import readable
from tailrace.streams.version import FIRST_GENERATION, Version
from tailrace.streams.windows import WindowInvoke

FORMAT: Final = 3
"""1 and 2, which is of a batch in a tumbling window, have sequence numbers instead of versions."""


class Notice(Struct, frozen=True):
    """One batch given up.

    Shape:   `versions` ascending; `attempts` really made. The final invoke of a window has no records:
             `is_unhandled` (as in Told) is said by the letters of others. `run` and `request` name the last
             batch; without a run the row is of an older version.
    Units:   at_ms since the epoch.
    """

    handler: str
    shard_id: str
    versions: tuple[Version, ...]
    condition: str
    attempts: int
    request: int
    at_ms: int
    tries: int = 0
    run: str = ""
    window: WindowInvoke | None = None
    is_unhandled: bool = False

    def fields(self) -> dict[str, Any]:
        """Its row."""
        fields: dict[str, Any] = {
            "v": FORMAT,
            "handler": self.handler,
            "shard_id": self.shard_id,
            "versions": [version.text for version in self.versions],
            "condition": self.condition,
            "attempts": self.attempts,
            "request": self.request,
            "at_ms": self.at_ms,
            "tries": self.tries,
            "run": self.run,
        }
        if (window := self.window) is not None:
            fields |= {
                "unhandled": self.is_unhandled,
                "window": [
                    window.start_ms,
                    window.end_ms,
                    window.state.decode(),
                    window.is_final,
                    window.is_early,
                ],
            }
        return fields


def outbox_prefix(app: str) -> str:
    """What the rows of an app's notices start with."""
    return OUTBOX.prefix(app)


def outbox_key(app: str, notice: Notice) -> str:
    """The row of one notice: by its first record, or by its window, so that writing it again changes
    nothing.
    """
    name = (
        notice.versions[0].text
        if notice.versions
        else f"window-{notice.shard_id}-{notice.run}-{notice.request}"
    )
    return OUTBOX.key(app, notice.handler, name)


def _versions(row: Mapping[str, Any]) -> list[Version]:
    if "versions" in row:
        return [Version.from_text(text) for text in row["versions"]]
    return [Version(FIRST_GENERATION, sequence) for sequence in row["sequences"]]


def read_notice(fields: Mapping[str, Any]) -> Notice:
    """The notice behind a row. Raises: StoreError when its format is not known."""
    row = readable(fields, "notice", FORMAT)
    window = None
    if "window" in row:
        start_ms, end_ms, state, is_final, is_early = row["window"]
        window = WindowInvoke(start_ms, end_ms, state.encode(), is_final, is_early)
    return Notice(
        row["handler"],
        row["shard_id"],
        tuple(_versions(row)),
        row["condition"],
        row["attempts"],
        row["request"],
        row["at_ms"],
        row["tries"],
        row.get("run", ""),
        window,
        row.get("unhandled", False),
    )
