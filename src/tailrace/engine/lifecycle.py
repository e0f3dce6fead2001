"""Tables come, change and go: CreateTable, DescribeTable, ListTables, UpdateTable, DeleteTable.

Rules of this file: the present status is computed from the clock; without `aws_delays` a table works at once
and only the answer says CREATING. A deleted table's number is never used again; its rows are left to
housekeeping. Called by `engine.engine`. Source: semantics §1.2, §6.8, §6.11.
"""

from bisect import bisect_right
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from tailrace.engine import table_settings
from tailrace.engine.catalog import Catalog, Namespace, TableState
from tailrace.engine.description import describe, leaving
from tailrace.engine.documents import DELAYS_MS, ELSEWHERE, Busy, TableDocument
from tailrace.engine.index_lifecycle import IndexLifecycle
from tailrace.engine.lineage import Lineage
from tailrace.engine.namespaces import NOT_HERE
from tailrace.engine.settings import EngineSettings
from tailrace.errors import ApiError, validation_error
from tailrace.ports import Clock
from tailrace.streams.arns import parse_table_arn
from tailrace.streams.arns import stream_arn as stream_arn_of
from tailrace.tables.definition import TableChange, TableDefinition, check_change
from tailrace.tables.index_rules import IndexUpdates
from tailrace.tables.limits import LIST_PAGE, TABLES

IN_USE: Final[dict[Busy, str]] = {
    "CREATING": "Table is being created",
    "UPDATING": "Table is being updated",
    "DELETING": "Table is being deleted",
}
FOREIGN: Final = (
    "User: arn:aws:iam::{0}:root is not authorized to perform this operation on resource: {1} "
    "because no resource-based policy allows it"
)
"""AWS names the action, which is not known here [U]."""
PROTECTED: Final = (
    "Resource cannot be deleted as it is currently protected against deletion. Disable deletion "
    "protection first."
)


class Lifecycle:
    """The tables of an engine, or those of one namespace.

    Shape:   `tables` are looked into: all by what rows call them, or a namespace's by name; it is the
             catalog's own dictionary.
    """

    def __init__(
        self,
        tables: Mapping[str, TableState],
        namespace: Namespace,
        catalog: Catalog,
        lineage: Lineage,
        indexes: IndexLifecycle,
        clock: Clock,
        settings: EngineSettings,
    ) -> None:
        self._tables = tables
        self._namespace = namespace
        self._catalog = catalog
        self._lineage = lineage
        self._indexes = indexes
        self._clock = clock
        self._settings = settings

    # ---- finding -------------------------------------------------------------------------------------------

    def readable(self, name: str) -> TableState:
        """A table whose items can be read and written. Raises: ApiError `Requested resource not found`."""
        table = self._tables.get(name) or self._by_arn(name)
        if table is None:
            raise self._not_found(name)
        if table.document.busy is not None:
            self.settle(table)
            if table.key not in self._catalog.tables or table.document.busy in ("CREATING", "DELETING"):
                raise self._not_found(name)
        return table

    def named(self, name: str) -> TableState:
        """A table in any state. Raises: ApiError that names it."""
        table = self.settled(name)
        if table is None:
            raise self._not_found(name, f"Requested resource not found: Table: {name} not found")
        return table

    def settled(self, name: str) -> TableState | None:
        """The same, None when there is none. Raises: ApiError for an ARN of another namespace."""
        table = self._tables.get(name) or self._by_arn(name)
        if table is not None:
            self.settle(table)
            if table.key not in self._catalog.tables:
                return None
        return table

    def own_name(self, name: str) -> str:
        """The name of a table that is named, perhaps by its ARN. Raises: ApiError for an ARN of another
        namespace.

        Source:  complete.md §4.5 for another region; AWS Developer Guide, "Resource-based policies", for
                 another account.
        """
        arn = parse_table_arn(name)
        if arn is None:
            return name
        if not self._settings.one_namespace and self._tables is not self._catalog.tables:
            if arn.region != self._namespace.region:
                raise validation_error(NOT_HERE + name)
            if arn.account != self._namespace.account:
                raise ApiError("AccessDeniedException", FOREIGN.format(self._namespace.account, name))
        return arn.table

    def _by_arn(self, name: str) -> TableState | None:
        """Where nothing is called so: the table of that ARN."""
        return None if ":" not in name else self._tables.get(self.own_name(name))

    def _not_found(self, name: str, message: str = "Requested resource not found") -> ApiError:
        return ApiError("ResourceNotFoundException", message, note=self.elsewhere(name))

    def elsewhere(self, name: str) -> str:
        """Where a table of that name is that is not here, for people; empty: nowhere."""
        name = name.rpartition("/")[2]
        arns = sorted(
            other.table_arn(name)
            for other in self._catalog.namespaces.values()
            if other is not self._namespace and name in other.tables
        )
        if not arns or name in self._namespace.tables:
            return ""
        return f"there is no table {name} in {self._namespace}; there is {' and '.join(arns)}"

    def settle(self, table: TableState) -> None:
        """End a table's waiting when its time has come."""
        document = table.document
        if document.busy is None or self._clock.now().wall_ms < document.busy_until_ms:
            return
        if document.busy == "DELETING":
            self._catalog.remove_table(table)
        else:
            self._catalog.save_table(table, msgspec.structs.replace(document, busy=None))

    def idle(self, name: str) -> TableState:
        """A table that may be changed. Raises: ApiError ResourceNotFoundException, ResourceInUseException."""
        table = self.named(name)
        if table.document.busy is not None:
            raise _in_use(name, table.document.busy)
        return table

    def _busy(self, document: TableDocument, busy: Busy, wall_ms: int) -> TableDocument:
        if not self._settings.aws_delays:
            return document
        return msgspec.structs.replace(document, busy=busy, busy_until_ms=wall_ms + DELAYS_MS[busy])

    # ---- coming --------------------------------------------------------------------------------------------

    def create(self, definition: TableDefinition, tags: Mapping[str, str]) -> dict[str, Any]:
        """CreateTable. Raises: ApiError."""
        namespace = self._namespace
        name = self.own_name(definition.name)
        present = namespace.tables.get(name)
        if present is not None:
            self.settle(present)
        if name in namespace.tables:
            raise ApiError("ResourceInUseException", f"Table already exists: {name}")
        if len(namespace.tables) >= TABLES:
            raise ApiError(
                "LimitExceededException",
                f"Subscriber limit exceeded: There is a limit of {TABLES} tables per subscriber",
            )
        wall_ms = self._clock.now().wall_ms
        # The label of a stream made with its table is the table's creation time, and labels are unique.
        created_ms = wall_ms if definition.stream is None else self._catalog.take_label_ms(wall_ms)
        number = self._catalog.take_table_number()
        document = TableDocument(
            replace(definition, name=name, indexes=()),
            number,
            _table_id(number, created_ms),
            created_ms,
            on_demand_ms=created_ms if definition.billing_mode == "PAY_PER_REQUEST" else None,
            tags=dict(tags),
            gone_through=self._catalog.take_lost(namespace.key(name)),
        )
        if not namespace.is_default:
            document = replace(document, region=namespace.region, account=namespace.account, v=ELSEWHERE)
        table = TableState(document, namespace)
        if definition.stream is not None:
            document = self._start_stream(table, document, created_ms, wall_ms)
        self._catalog.save_table(table, self._busy(document, "CREATING", wall_ms))
        self._indexes.create_with(table, definition.indexes)
        return self._description(table, "CREATING")

    def _start_stream(
        self, table: TableState, document: TableDocument, label_ms: int, wall_ms: int
    ) -> TableDocument:
        assert document.definition.stream is not None
        table.stream = self._lineage.create(document, document.definition.stream, label_ms, wall_ms)
        return msgspec.structs.replace(document, label=table.stream.document.label)

    # ---- telling -------------------------------------------------------------------------------------------

    def describe(self, name: str) -> dict[str, Any]:
        """DescribeTable. Raises: ApiError."""
        table = self.named(name)
        self._indexes.advance(table)
        return self._description(table, table.document.busy or "ACTIVE")

    def listed(self, start: str | None, limit: int | None) -> dict[str, Any]:
        """ListTables, alphabetically. Raises: ApiError."""
        for table in tuple(self._tables.values()):
            self.settle(table)
        names = sorted(self._tables)
        begin = 0 if start is None else bisect_right(names, start)
        page = names[begin : begin + (LIST_PAGE if limit is None else limit)]
        answer: dict[str, Any] = {"TableNames": page}
        if begin + len(page) < len(names):
            answer["LastEvaluatedTableName"] = page[-1]
        return answer

    def _description(self, table: TableState, status: str) -> dict[str, Any]:
        arn = table.namespace.table_arn(table.schema.name)
        stream_arn = None
        if table.document.label is not None:
            stream_arn = stream_arn_of(arn, table.document.label)
        return describe(
            table.document,
            status,
            arn,
            stream_arn,
            items=table.items,
            size_bytes=table.size_bytes,
            indexes=self._indexes.described(table, arn, status),
            kms=f"arn:aws:kms:{table.namespace.region}:{table.namespace.account}",
            wall_ms=self._clock.now().wall_ms,
            attributes=self._indexes.attribute_definitions(table),
        )

    # ---- changing ------------------------------------------------------------------------------------------

    def update(self, name: str, change: TableChange) -> dict[str, Any]:
        """UpdateTable. Raises: ApiError. Source: semantics §1.2, §6.11."""
        check_change(change)
        table = self.idle(name)
        wall_ms = self._clock.now().wall_ms
        document = table_settings.changed(table.document, change, wall_ms)
        if table.every_index or change.indexes is not None:
            self._indexes.update(table, change.indexes or IndexUpdates(), document.definition.billing_mode)
        if change.stream_enabled is not None:
            document = self._switched(table, document, change, wall_ms)
        self._catalog.save_table(table, self._busy(document, "UPDATING", wall_ms))
        answer = self._description(table, "UPDATING")
        self._indexes.advance(table)
        return answer

    def _switched(
        self, table: TableState, document: TableDocument, change: TableChange, wall_ms: int
    ) -> TableDocument:
        name = document.definition.name
        if change.stream_enabled:
            if table.stream is not None:
                raise validation_error(f"Table already has an enabled stream: TableName: {name}")
            document = table_settings.redefined(document, stream=change.stream_view)
            return self._start_stream(table, document, self._catalog.take_label_ms(wall_ms), wall_ms)
        if table.stream is None:
            raise validation_error(f"Table has no stream to disable: TableName: {name}")
        self._lineage.disable(table.stream, wall_ms)
        table.stream = None
        return table_settings.redefined(document, stream=None)

    # ---- going ---------------------------------------------------------------------------------------------

    def delete(self, name: str) -> dict[str, Any]:
        """DeleteTable. Its stream stays readable for 24 hours. Raises: ApiError."""
        table = self.idle(name)
        if table.document.definition.deletion_protection:
            raise validation_error(PROTECTED)
        wall_ms = self._clock.now().wall_ms
        answer = leaving(self._description(table, "DELETING"))
        if table.stream is not None:
            self._lineage.disable(table.stream, wall_ms)
            table.stream = None
        if self._settings.aws_delays:
            document = table_settings.redefined(table.document, stream=None)
            self._catalog.save_table(table, self._busy(document, "DELETING", wall_ms))
        else:
            self._catalog.remove_table(table)
        return answer


def _in_use(name: str, busy: Busy) -> ApiError:
    return ApiError(
        "ResourceInUseException",
        f"Attempt to change a resource which is still in use: {IN_USE[busy]}: {name}",
    )


def _table_id(number: int, created_ms: int) -> str:
    """A UUID of version 4 without chance: the same history gives the same ids."""
    bits = bytearray(blake2b(b"%d/%d" % (number, created_ms), digest_size=16).digest())
    bits[6] = bits[6] & 0x0F | 0x40  # the version
    bits[8] = bits[8] & 0x3F | 0x80  # the variant of RFC 4122
    text = bits.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
