"""What a table is declared to be: CreateTable and UpdateTable read, checked and described.

Rules of this file: pure; takes members whose JSON types and constraints the server has already checked; says
no in AWS's words. Indexes are read by `tables.index_rules`. Called by `api` and `engine`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, cast

from msgspec import Struct

from tailrace.errors import validation_error
from tailrace.streams.record import ViewType
from tailrace.tables.index_rules import (
    IndexUpdates,
    check_attributes_used,
    check_elements,
    check_pair,
    read_index_updates,
    read_indexes,
)
from tailrace.tables.indexes import IndexDefinition
from tailrace.tables.options import (
    ON_DEMAND_WARM,
    PLAIN_OPTIONS,
    OptionsChange,
    TableOptions,
    apply_options,
    read_options,
)
from tailrace.tables.schema import INVALID, KeyType
from tailrace.tables.throughput import UNITS_MISSING, UNITS_REFUSED, check_units

BillingMode: TypeAlias = Literal["PROVISIONED", "PAY_PER_REQUEST"]
NOTHING_TO_DO: Final = (
    "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates, "
    "SSESpecification, ReplicaUpdates, DeletionProtectionEnabled, OnDemandThroughput, WarmThroughput "
    "or TableClass is required"
)
SAME_THROUGHPUT: Final = (
    "The provisioned throughput for the table will not change. The requested value equals the current value. "
    "Current ReadCapacityUnits provisioned for the table: {0}. Requested ReadCapacityUnits: {0}. "
    "Current WriteCapacityUnits provisioned for the table: {1}. Requested WriteCapacityUnits: {1}. "
    "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
)


class TableDefinition(Struct, frozen=True):
    """A table as CreateTable declares it.

    Shape:   attribute types by name for exactly the key attributes; `stream` is the view type, None without a
             stream; `read_units` and `write_units` are 0 on demand. `table_class` None means STANDARD, as AWS
             leaves it out. `indexes` are those the table is created with; the engine keeps each in a document
             of its own.
    """

    name: str
    hash_name: str
    hash_type: KeyType
    range_name: str | None = None
    range_type: KeyType | None = None
    stream: ViewType | None = None
    billing_mode: BillingMode = "PAY_PER_REQUEST"
    read_units: int = 0
    write_units: int = 0
    deletion_protection: bool = False
    table_class: str | None = None
    indexes: tuple[IndexDefinition, ...] = ()
    options: TableOptions = PLAIN_OPTIONS

    def key_schema(self) -> list[dict[str, str]]:
        """AWS's KeySchema."""
        elements = [{"AttributeName": self.hash_name, "KeyType": "HASH"}]
        if self.range_name is not None:
            elements.append({"AttributeName": self.range_name, "KeyType": "RANGE"})
        return elements

    def types(self) -> dict[str, KeyType]:
        """The types of all key attributes, the table's first."""
        types = {self.hash_name: self.hash_type}
        if self.range_name is not None and self.range_type is not None:
            types[self.range_name] = self.range_type
        for index in self.indexes:
            types.update(index.key)
        return types

    def attribute_definitions(self) -> list[dict[str, str]]:
        """AWS's AttributeDefinitions."""
        return [{"AttributeName": name, "AttributeType": kind} for name, kind in self.types().items()]


class TableChange(Struct, frozen=True):
    """What UpdateTable asks for; None leaves a setting as it is. `stream_enabled` False has no view type."""

    stream_enabled: bool | None = None
    stream_view: ViewType | None = None
    billing_mode: BillingMode | None = None
    throughput: tuple[int, int] | None = None
    deletion_protection: bool | None = None
    table_class: str | None = None
    indexes: IndexUpdates | None = None
    options: OptionsChange | None = None


def read_definition(payload: Mapping[str, Any]) -> TableDefinition:
    """A CreateTable request. Raises: ApiError (ValidationException). Source: semantics §1.2, §6.11."""
    mode, read_units, write_units = _billing(payload)
    hash_name, range_name, types = _keys(payload)
    indexes = read_indexes(payload, hash_name, range_name, types)
    if indexes:
        table_keys = (hash_name,) if range_name is None else (hash_name, range_name)
        check_attributes_used(types, table_keys, indexes)
    return TableDefinition(
        name=payload["TableName"],
        hash_name=hash_name,
        hash_type=types[hash_name],
        range_name=range_name,
        range_type=None if range_name is None else types[range_name],
        stream=_new_stream(payload.get("StreamSpecification")),
        billing_mode=mode,
        read_units=read_units,
        write_units=write_units,
        deletion_protection=bool(payload.get("DeletionProtectionEnabled", False)),
        table_class=payload.get("TableClass"),
        indexes=indexes,
        options=_new_options(payload, on_demand=mode == "PAY_PER_REQUEST", units=(read_units, write_units)),
    )


def _new_options(payload: Mapping[str, Any], *, on_demand: bool, units: tuple[int, int]) -> TableOptions:
    change = read_options(payload)
    if change is None:
        return TableOptions()
    floor = ON_DEMAND_WARM if on_demand else units
    return apply_options(TableOptions(), change, on_demand=on_demand, floor=floor)


def _billing(payload: Mapping[str, Any]) -> tuple[BillingMode, int, int]:
    throughput = payload.get("ProvisionedThroughput")
    if payload.get("BillingMode") == "PAY_PER_REQUEST":
        if throughput is not None:
            raise validation_error(UNITS_REFUSED)
        return "PAY_PER_REQUEST", 0, 0
    if throughput is None:
        raise validation_error(UNITS_MISSING)
    return "PROVISIONED", *check_units(throughput)


def _keys(payload: Mapping[str, Any]) -> tuple[str, str | None, dict[str, KeyType]]:
    schema: Sequence[Mapping[str, str]] = payload["KeySchema"]
    definitions: Sequence[Mapping[str, str]] = payload["AttributeDefinitions"]
    types = {
        definition["AttributeName"]: cast(KeyType, definition["AttributeType"]) for definition in definitions
    }
    names = [element["AttributeName"] for element in schema]
    if len(types) < len(definitions):
        raise validation_error(f"{INVALID}Cannot have two attributes with the same name")
    check_pair(schema)
    check_elements(schema)
    defined = f"[{', '.join(types)}]"
    missing = [name for name in names if name not in types]
    if missing:
        raise validation_error(
            f"{INVALID}Some index key attributes are not defined in AttributeDefinitions. "
            f"Keys: [{', '.join(missing)}], AttributeDefinitions: {defined}"
        )
    has_indexes = "GlobalSecondaryIndexes" in payload or "LocalSecondaryIndexes" in payload
    if len(types) != len(names) and not has_indexes:
        raise validation_error(
            f"{INVALID}Number of attributes in KeySchema does not exactly match number of attributes "
            "defined in AttributeDefinitions"
        )
    return names[0], names[1] if len(names) == 2 else None, types


def _new_stream(specification: Mapping[str, Any] | None) -> ViewType | None:
    if specification is None:
        return None
    view: ViewType | None = specification.get("StreamViewType")
    if specification["StreamEnabled"]:
        if view is None:
            raise validation_error(
                f"{INVALID}Table is being created with a stream enabled, UpdateViewType is required"
            )
    elif view is not None:
        raise validation_error(
            f"{INVALID}Table is being created with a stream disabled, UpdateViewType should not be specified"
        )
    return view


def read_change(payload: Mapping[str, Any]) -> TableChange:
    """An UpdateTable request. Raises: ApiError (ValidationException). Source: semantics §1.2, §6.11."""
    throughput = payload.get("ProvisionedThroughput")
    stream = payload.get("StreamSpecification")
    if payload.get("GlobalSecondaryIndexUpdates") and stream is not None:
        raise validation_error(f"{INVALID}You cannot create or delete index while changing stream status")
    mode: BillingMode | None = payload.get("BillingMode")
    if mode == "PAY_PER_REQUEST" and throughput is not None:
        raise validation_error(UNITS_REFUSED)
    change = TableChange(
        stream_enabled=None if stream is None else bool(stream["StreamEnabled"]),
        stream_view=None if stream is None else stream.get("StreamViewType"),
        billing_mode=mode,
        throughput=None if throughput is None else check_units(throughput),
        deletion_protection=payload.get("DeletionProtectionEnabled"),
        table_class=payload.get("TableClass"),
        options=read_options(payload),
        indexes=read_index_updates(payload),
    )
    check_change(change)
    return change


def check_change(change: TableChange) -> None:
    """What can be refused without looking at the table. Raises: ApiError. Source: semantics §1.2, §6.11."""
    others = change.billing_mode is not None or change.throughput is not None
    encryption = None if change.options is None else change.options.encryption
    if change == TableChange():
        raise validation_error(NOTHING_TO_DO)
    if change.stream_enabled is not None and others:
        raise validation_error(f"{INVALID}You cannot modify stream status while updating table IOPS")
    if change.stream_enabled is True and change.stream_view is None:
        raise validation_error(f"{INVALID}If stream is being enabled then UpdateViewType is required")
    if change.stream_enabled is False and change.stream_view is not None:
        raise validation_error(
            f"{INVALID}If stream is being disabled, then UpdateViewType must not be specified"
        )
    for name, value, alone in (
        (
            "DeletionProtection",
            change.deletion_protection,
            TableChange(deletion_protection=change.deletion_protection),
        ),
        ("SSE", encryption, TableChange(options=OptionsChange(encryption))),
        ("TableClass", change.table_class, TableChange(table_class=change.table_class)),
    ):
        if value is not None and change != alone:
            raise validation_error(f"{INVALID}{name} modification must be the only operation in the request")
