"""The document of a destination: a data stream that a table's changes are copied to.

Rules of this file: layouts only, documented in docs/formats/catalog.md; `engine.documents.decode` reads them.
Called by everything in `engine.destinations`.
"""

from typing import Final, Literal, TypeAlias

from msgspec import Struct

from tailrace.streams.kinesis.destination import Precision

DestinationStatus: TypeAlias = Literal[
    "ENABLING", "ACTIVE", "UPDATING", "DISABLING", "DISABLED", "ENABLE_FAILED"
]
RECORDING: Final = frozenset({"ACTIVE", "UPDATING", "DISABLING"})
"""While a destination is so, writes of its table are recorded for it."""
AT_REST: Final = frozenset({"DISABLED", "ENABLE_FAILED"})
"""From these it can be enabled."""


class DestinationDocument(Struct, frozen=True):
    """A data stream that changes of a table are copied to, or were.

    Shape:   `table` is what rows call the table, `table_number` which one of that name; `log` is where its
             changes wait (a number among those of all shards); a status that passes holds until `until_ms`;
             `precision` is None until it is told; `description` says why enabling failed. `failed` and
             `lost` count the changes that a stream never took: because they are too large for it, and
             because they waited a day; `last_failure` and `last_loss` say of which the last one was.
    Units:   milliseconds since the epoch.
    """

    table: str
    table_number: int
    stream_arn: str
    log: int
    enabled_ms: int
    status: DestinationStatus = "ENABLING"
    until_ms: int = 0
    precision: Precision | None = None
    description: str | None = None
    failed: int = 0
    lost: int = 0
    last_failure: str = ""
    last_loss: str = ""
    v: int = 1
