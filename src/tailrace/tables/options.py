"""What a table has beside keys, stream and units: encryption, limits on demand, warm throughput.

Rules of this file: pure; members are read, checked and described; nothing of it changes how an item is
stored. Called by `tables.definition` and `engine.table_settings`. Source: semantics §6.11; texts that no
source shows are marked [U].
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from tailrace.errors import validation_error
from tailrace.tables.schema import INVALID

ON_DEMAND_WARM: Final = (12_000, 4_000)
"""What a table on demand takes at once. Source: semantics §6.11."""
NO_LIMIT: Final = -1
"""What lifts a limit on demand."""
LIMITED: Final = ("MaxReadRequestUnits", "MaxWriteRequestUnits")
WARMED: Final = ("ReadUnitsPerSecond", "WriteUnitsPerSecond")
Limits: TypeAlias = tuple[int | None, int | None]
"""(reads, writes) on demand; None: no limit."""


class TableOptions(Struct, frozen=True):
    """Options of a table.

    Shape:   `kms_key` names the key of encryption by KMS, "" for AWS's managed one, None for encryption by
             default; `most_read_units` and `most_write_units` limit a table on demand; `warm` is (reads,
             writes) a second.
    """

    kms_key: str | None = None
    most_read_units: int | None = None
    most_write_units: int | None = None
    warm: tuple[int, int] | None = None


PLAIN_OPTIONS: Final = TableOptions()


class OptionsChange(Struct, frozen=True):
    """What a request says of them, as it says it; None: nothing."""

    encryption: Mapping[str, Any] | None = None
    on_demand: Mapping[str, int] | None = None
    warm: Mapping[str, int] | None = None


def read_options(payload: Mapping[str, Any]) -> OptionsChange | None:
    """The options of a CreateTable or UpdateTable request, None when it names none."""
    change = OptionsChange(
        payload.get("SSESpecification"), payload.get("OnDemandThroughput"), payload.get("WarmThroughput")
    )
    return None if change == OptionsChange() else change


def apply_options(
    options: TableOptions, change: OptionsChange, *, on_demand: bool, floor: tuple[int, int]
) -> TableOptions:
    """The options after a change; `floor` is the warm throughput it has anyway. Raises: ApiError."""
    if change.encryption is not None:
        options = replace(options, kms_key=_kms_key(change.encryption))
    if change.on_demand is not None:
        reads, writes = limited(
            (options.most_read_units, options.most_write_units), change.on_demand, on_demand=on_demand
        )
        options = replace(options, most_read_units=reads, most_write_units=writes)
    if change.warm is not None:
        options = replace(options, warm=warmed(options.warm or floor, floor, change.warm))
    return options


def check_encryption(options: TableOptions, change: OptionsChange) -> None:
    """Refuse an UpdateTable that leaves the encryption as it is. Raises: ApiError. Source: [3P]."""
    if change.encryption is None or _kms_key(change.encryption) != options.kms_key:
        return
    if options.kms_key is None:
        raise validation_error(f"{INVALID}Table is already encrypted by default")
    raise validation_error(f"{INVALID}Table is already encrypted with given KMSMasterKeyId")


def _kms_key(specification: Mapping[str, Any]) -> str | None:
    kind, key = specification.get("SSEType"), specification.get("KMSMasterKeyId")
    if not specification.get("Enabled", False):
        if kind is not None or key is not None:
            raise validation_error(
                f"{INVALID}SSEType and KMSMasterKeyId can not be specified when SSE is disabled"
            )  # [U]
        return None
    if kind == "AES256":
        raise validation_error(f"{INVALID}SSEType AES256 is not supported")  # [U]
    return key or ""


def limited(before: Limits, requested: Mapping[str, int], *, on_demand: bool) -> Limits:
    """The limits on demand of a table or an index after a request. Raises: ApiError."""
    if not on_demand:
        raise validation_error(
            f"{INVALID}OnDemandThroughput can not be specified when BillingMode is PROVISIONED"
        )  # [U]
    for name, units in requested.items():
        if units < 1 and units != NO_LIMIT:
            raise validation_error(f"{INVALID}{name} must be {NO_LIMIT} or greater than or equal to 1")  # [U]
    reads, writes = (
        requested.get(name, NO_LIMIT if units is None else units)
        for name, units in zip(LIMITED, before, strict=True)
    )
    return None if reads == NO_LIMIT else reads, None if writes == NO_LIMIT else writes


def warmed(
    present: tuple[int, int], floor: tuple[int, int], requested: Mapping[str, int], of: str = "table"
) -> tuple[int, int]:
    """The warm throughput after a request; `floor` is what there is anyway. Raises: ApiError."""
    if not requested:
        raise validation_error(f"{INVALID}One of {' or '.join(WARMED)} is required for WarmThroughput")  # [U]
    reads, writes = (requested.get(name, units) for name, units in zip(WARMED, present, strict=True))
    for name, wanted, has in ((WARMED[0], reads, present[0]), (WARMED[1], writes, present[1])):
        if wanted < has:
            raise validation_error(
                f"{INVALID}Requested {name} for WarmThroughput for {of} is lower than the current "
                f"{name} {has}: "
                "decreasing WarmThroughput is not supported"
            )  # [U]
    return max(reads, floor[0]), max(writes, floor[1])


def describe_warm(warm: tuple[int, int] | None, floor: tuple[int, int]) -> dict[str, Any]:
    """AWS's WarmThroughput of a table or an index."""
    reads, writes = warm or floor
    return {
        "ReadUnitsPerSecond": max(reads, floor[0]),
        "WriteUnitsPerSecond": max(writes, floor[1]),
        "Status": "ACTIVE",
    }


def describe_options(
    options: TableOptions, *, kms: str, floor: tuple[int, int], is_new: bool
) -> dict[str, Any]:
    """The members of a TableDescription; `kms` begins a key's ARN; a new table has no warm throughput yet."""
    answer: dict[str, Any] = {}
    if options.kms_key is not None:
        key = options.kms_key or "alias/aws/dynamodb"
        arn = key if key.startswith("arn:") else f"{kms}:{key if key.startswith('alias/') else f'key/{key}'}"
        answer["SSEDescription"] = {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": arn}
    limits = {
        "MaxReadRequestUnits": options.most_read_units,
        "MaxWriteRequestUnits": options.most_write_units,
    }
    if any(units is not None for units in limits.values()):
        answer["OnDemandThroughput"] = {
            name: NO_LIMIT if units is None else units for name, units in limits.items()
        }
    if not is_new:
        answer["WarmThroughput"] = describe_warm(options.warm, floor)
    return answer
