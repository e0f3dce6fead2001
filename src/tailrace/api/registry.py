"""Every operation the server knows: by the raw `X-Amz-Target` that asks for it.

Rules of this file: it knows how an operation is declared, never what one does. `@operation` in each file of
`api.dynamodb` and `api.streams` registers it; `find_operations` makes the table that `api.wire` reads requests with, in which the
operations of AWS that Tailrace does not have yet answer so.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec import Struct

from tailrace.api.shapes import Input, structure
from tailrace.api.validation import Check, compile_input, read_types
from tailrace.api.wire import Payload
from tailrace.errors import CORAL, ApiError

if TYPE_CHECKING:
    from tailrace.engine.engine import Engine
    from tailrace.engine.slices import Slices

Answer: TypeAlias = "Mapping[str, Any] | bytes"
"""Members, or the JSON itself where stored bytes are spliced."""
Result: TypeAlias = "Answer | Slices[Answer]"
"""What an operation comes to: the answer, or the work to it in slices."""
Function: TypeAlias = "Callable[[Engine, Payload], Result]"

DYNAMODB: Final = "DynamoDB_20120810"
STREAMS: Final = "DynamoDBStreams_20120810"
MODULES: Final = {
    "dynamodb": (
        "batch_get_item", "batch_write_item", "create_table", "delete_item", "delete_resource_policy",
        "delete_table", "describe_continuous_backups", "describe_endpoints", "describe_limits",
        "describe_table", "describe_time_to_live", "get_item", "get_resource_policy", "list_tables",
        "list_tags_of_resource", "put_item", "put_resource_policy", "query", "scan", "tag_resource",
        "transact_get_items", "transact_write_items", "untag_resource", "update_continuous_backups",
        "update_item", "update_table", "update_time_to_live",
    ),
    "streams": ("describe_stream", "get_records", "get_shard_iterator", "list_streams"),
}  # fmt: skip

NOT_YET: Final = {
    DYNAMODB: (
        "BatchExecuteStatement", "CancelBulkOperation", "CreateBackup", "CreateGlobalTable", "DeleteBackup",
        "DescribeBackup", "DescribeBulkOperation",
        "DescribeContributorInsights", "DescribeExport", "DescribeGlobalTable",
        "DescribeGlobalTableSettings", "DescribeImport", "DescribeKinesisStreamingDestination",
        "DescribeTableReplicaAutoScaling",
        "DisableKinesisStreamingDestination", "EnableKinesisStreamingDestination", "ExecuteStatement",
        "ExecuteTransaction", "ExportTableToPointInTime", "ImportTable", "ListBackups",
        "ListBulkOperations", "ListContributorInsights", "ListExports", "ListGlobalTables", "ListImports",
        "RestoreTableFromBackup", "RestoreTableToPointInTime",
        "SearchVectors", "StartBulkPutItems",
        "UpdateContributorInsights", "UpdateGlobalTable",
        "UpdateGlobalTableSettings", "UpdateKinesisStreamingDestination", "UpdateTableReplicaAutoScaling",

    ),
    STREAMS: (),
}  # fmt: skip
"""What AWS has and Tailrace has not. Source: semantics §6.2, and what botocore's model has added since."""


class Operation(Struct, frozen=True):
    """One operation: `check` reads and validates its members, `run` does it."""

    service: str
    name: str
    input: Input
    check: Check
    run: Function
    emulated: bool = True

    def check_types(self, payload: Payload) -> None:
        """Require every member to have the type of its shape. Raises: ApiError SerializationException."""
        read_types(self.input.structure, payload)

    @property
    def target(self) -> bytes:
        """The header value that asks for it."""
        return f"{self.service}.{self.name}".encode()


_REGISTERED: Final[dict[bytes, Operation]] = {}


def operation(service: str, name: str, takes: Input) -> Callable[[Function], Function]:
    """Register the function that does an operation."""

    def register(function: Function) -> Function:
        entry = Operation(service, name, takes, compile_input(takes), function)
        _REGISTERED[entry.target] = entry
        return function

    return register


def find_operations() -> dict[bytes, Operation]:
    """The table of every operation of both services, in a stable order."""
    for package, modules in MODULES.items():
        for module in modules:
            import_module(f"tailrace.api.{package}.{module}")
    table = dict(sorted(_REGISTERED.items()))
    for service, names in NOT_YET.items():
        for name in names:
            entry = _absent(service, name)
            table[entry.target] = entry
    return table


def _absent(service: str, name: str) -> Operation:
    def refuse(payload: Payload) -> Payload:
        raise ApiError(
            "UnknownOperationException",
            f"Tailrace does not emulate {name} yet. `tailrace coverage` lists what it does.",
            prefix=CORAL,
        )

    def never(engine: "Engine", payload: Payload) -> Result:
        refuse(payload)
        return {}

    return Operation(service, name, Input(structure(f"{name}Input")), refuse, never, emulated=False)
