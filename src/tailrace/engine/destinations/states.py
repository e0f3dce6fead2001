"""How a destination is enabled, disabled, updated, and what becomes of it with time.

Rules of this file: pure: documents in, documents or AWS's errors out. A bad data stream is admitted and fails
when enabling ends. Source: semantics §5.5. What no source shows is marked [U].
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from tailrace.engine.destinations.documents import AT_REST, DestinationDocument
from tailrace.errors import validation_error
from tailrace.streams.kinesis.destination import Precision

ENABLING_MS: Final = 6_000
DISABLING_MS: Final = 2_000
UPDATING_MS: Final = 2_000
"""What AWS takes, about; nobody has timed an update [U]."""
PRECISION: Final = "ApproximateCreationDateTimePrecision"
DEFAULT: Final[Precision] = "MILLISECOND"
NOT_VALID: Final = "Table is not in a valid state to {0} Kinesis Streaming Destination: "
WRONG: Final = "The kinesis Arn used to enable kinesis replication belongs to a stream which is not in "
NOT_ACTIVE_STREAM: Final = WRONG + "Active state"
OTHER_REGION: Final = WRONG + "the current region"
NO_PARAMETERS: Final = "Stream cannot be disabled using EnableKinesisStreamingConfiguration parameters"
NOTHING_TO_UPDATE: Final = (
    "Streaming destination cannot be updated with given parameters: UpdateKinesisStreamingConfiguration "
    "cannot be null or contain only null values"
)


class NamedTable(Struct, frozen=True):
    """The table that a request is about. Shape: `name` as clients call it."""

    name: str
    table_id: str


def check_enable(documents: Iterable[DestinationDocument]) -> None:
    """Require that none of a table's destinations is on its way or at work. Raises: ApiError."""
    if any(document.status not in AT_REST for document in documents):
        raise validation_error(
            NOT_VALID.format("enable")
            + "EnableKinesisStreamingDestination must be DISABLED or ENABLE_FAILED "
            "to perform ENABLE operation."
        )


def enabled(
    fresh: DestinationDocument, before: DestinationDocument | None, precision: Precision | None, until_ms: int
) -> DestinationDocument:
    """A destination that is being enabled, and failed or delivered to the same stream before: what waits
    there goes on in its order, and what was counted stays.
    """
    document = fresh if before is None else replace(before, enabled_ms=fresh.enabled_ms, description=None)
    return replace(document, status="ENABLING", until_ms=until_ms, precision=precision)


def disabled(document: DestinationDocument | None, until_ms: int) -> DestinationDocument:
    """A destination that is being disabled. Raises: ApiError unless it is ACTIVE; one that is not there is
    not [U].
    """
    if document is None or document.status != "ACTIVE":
        raise validation_error(
            NOT_VALID.format("disable") + "KinesisStreamingDestination must be ACTIVE to perform DISABLE "
            "operation."
        )
    return replace(document, status="DISABLING", until_ms=until_ms)


def updated(
    document: DestinationDocument | None, arn: str, table: NamedTable, precision: Precision, until_ms: int
) -> DestinationDocument:
    """A destination that is about to tell times otherwise. Raises: ApiError."""
    if document is None:
        raise validation_error(
            NOT_VALID.format("enable") + f"No streaming destination with streamArn: {arn} found for table "
            f"with tableName: {table.name}"
        )
    if document.status != "ACTIVE":
        raise validation_error(
            NOT_VALID.format("enable") + "Kinesis streaming is not in ACTIVE state. Updates are only allowed "
            f"in ACTIVE state. TableName: {table.name}, kdsArn: {arn}"
        )
    if precision == (document.precision or DEFAULT):
        raise validation_error(
            f"Invalid Request: Precision is already set to the desired value of {precision} for tableId: "
            f"{table.table_id}, kdsArn: {arn}"
        )
    return replace(document, status="UPDATING", until_ms=until_ms, precision=precision)


def settled(document: DestinationDocument, wall_ms: int, wrong: str | None) -> DestinationDocument:
    """What a destination has become by now. Shape: `wrong` is what is wrong with its data stream now, None
    for nothing: enabling ends with it.
    """
    if wall_ms < document.until_ms:
        return document
    match document.status:
        case "ENABLING" if wrong is not None:
            return replace(document, status="ENABLE_FAILED", description=wrong, until_ms=0)
        case "ENABLING" | "UPDATING":
            return replace(document, status="ACTIVE", until_ms=0)
        case "DISABLING":
            return replace(document, status="DISABLED", until_ms=0)
        case _:
            return document


def require_no_configuration(configuration: object) -> None:
    """Disabling takes none. Raises: ApiError."""
    if configuration:
        raise validation_error(NO_PARAMETERS)


def wanted_precision(configuration: object) -> Precision:
    """What an update asks for. Raises: ApiError where it asks for nothing."""
    precision: Precision | None = None
    if isinstance(configuration, dict):
        precision = configuration.get(PRECISION)
    if precision is None:
        raise validation_error(NOTHING_TO_UPDATE)
    return precision
