"""Indexes come, are filled, change and go: what CreateTable and UpdateTable do to them.

Rules of this file: filling is done in slices of rows; a slice and the position after it are one group, so a
crash in the middle repeats nothing and loses nothing. A deleted index is forgotten at once, and its rows go
as those of a deleted table do. Called by `engine.lifecycle` and `engine.expiry`. Source: semantics §6.11.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Final

import msgspec
import orjson
from msgspec.structs import replace

from tailrace.engine.catalog import Catalog, TableState
from tailrace.engine.committer import Committer
from tailrace.engine.description import describe_index
from tailrace.engine.documents import IndexDocument
from tailrace.engine.indexing import Indexing
from tailrace.engine.rounds import in_turn
from tailrace.engine.settings import EngineSettings
from tailrace.engine.table_index import TableIndex
from tailrace.errors import ApiError, StoreError, validation_error
from tailrace.ports import Clock
from tailrace.tables.definition import BillingMode
from tailrace.tables.index_rules import (
    ONE_AT_A_TIME,
    IndexUpdates,
    create_from,
    provided_units,
    relimited,
    rewarmed,
)
from tailrace.tables.indexes import EntryChange, IndexDefinition
from tailrace.tables.schema import INVALID
from tailrace.tables.throughput import UNITS_REFUSED
from tailrace.values.canonical import size_bytes

DELAY_MS: Final = 4_000
"""How long an index is at least being created or deleted with `aws_delays`."""
SAME_THROUGHPUT: Final = (
    "The provisioned throughput for the index {0} will not change. The requested value equals the "
    "current value. "
    "Current ReadCapacityUnits provisioned for the index: {1}. Requested ReadCapacityUnits: {1}. "
    "Current WriteCapacityUnits provisioned for the index: {2}. Requested WriteCapacityUnits: {2}. "
    "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
)


class IndexLifecycle:
    """The indexes of one engine."""

    def __init__(
        self,
        committer: Committer,
        catalog: Catalog,
        indexing: Indexing,
        clock: Clock,
        settings: EngineSettings,
    ) -> None:
        self._committer = committer
        self._catalog = catalog
        self._indexing = indexing
        self._clock = clock
        self._settings = settings
        self.on_work: Callable[[], None] = _nothing
        """Called when there is an index to fill: who runs the slices may be asleep."""

    # ---- coming --------------------------------------------------------------------------------------------

    def create_with(self, table: TableState, definitions: Iterable[IndexDefinition]) -> None:
        """The indexes a new table begins with: there is nothing to fill."""
        for definition in definitions:
            is_first_local = definition.kind == "LOCAL" and not table.collections
            number = self._catalog.take_table_number()
            collections = self._catalog.take_table_number() if is_first_local else 0
            self._catalog.save_index(
                table,
                IndexDocument(definition, number, table.schema.number, "ACTIVE", collections=collections),
            )

    def _check(self, table: TableState, updates: IndexUpdates) -> None:
        """Refuse what the table does not allow now. Raises: ApiError."""
        names = {index.definition.name: index for index in table.every_index if not index.schema.is_local}
        for name in (*(updates.changed or ()), *(() if updates.delete is None else (updates.delete,))):
            if name not in names:
                raise ApiError(
                    "ResourceNotFoundException", f"Requested resource not found: Index: {name} not found"
                )
        online = {index.definition.name for index in table.every_index if index.document.status != "ACTIVE"}
        if (updates.create is not None or updates.delete is not None) and online - {updates.delete}:
            raise ApiError("LimitExceededException", ONE_AT_A_TIME)

    def update(self, table: TableState, updates: IndexUpdates, mode: BillingMode) -> None:
        """Do what UpdateTable asks for. Raises: ApiError, and then nothing was done."""
        self._check(table, updates)
        self._check_billing(table, updates, mode)
        documents = [self._changed(table, name, updates, mode) for name in updates.changed or ()]
        if updates.create is not None:
            documents.append(self._created(table, updates, mode))
        if updates.delete is not None:
            documents.append(
                msgspec.structs.replace(
                    _named(table, updates.delete), status="DELETING", busy_until_ms=self._busy_until_ms()
                )
            )
        for document in documents:
            self._catalog.save_index(table, document)
        if mode == "PAY_PER_REQUEST" != table.document.definition.billing_mode:
            self._free(table)
        if updates.create is not None:
            self.on_work()

    def _created(self, table: TableState, updates: IndexUpdates, mode: BillingMode) -> IndexDocument:
        present = [index.definition for index in table.every_index]
        types = table.document.definition.types() | {
            attribute.name: attribute.type for index in present for attribute in index.key
        }
        definition = create_from(updates, present, types, on_demand=mode == "PAY_PER_REQUEST")
        return IndexDocument(
            definition,
            self._catalog.take_table_number(),
            table.schema.number,
            "CREATING",
            busy_until_ms=self._busy_until_ms(),
        )

    def _busy_until_ms(self) -> int:
        return self._clock.now().wall_ms + (DELAY_MS if self._settings.aws_delays else 0)

    def _changed(
        self, table: TableState, name: str, updates: IndexUpdates, mode: BillingMode
    ) -> IndexDocument:
        document = _named(table, name)
        definition = document.definition
        members = (updates.changed or {}).get(name, {})
        units = provided_units(members)
        if units is not None:
            if mode == "PAY_PER_REQUEST":
                raise validation_error(UNITS_REFUSED)
            if units == (definition.read_units, definition.write_units):
                raise validation_error(SAME_THROUGHPUT.format(name, *units))
            definition = replace(
                definition,
                read_units=units[0],
                write_units=units[1],
                most_read_units=None,  # limits on demand, which it is not
                most_write_units=None,
            )
        on_demand = mode == "PAY_PER_REQUEST"
        definition = rewarmed(
            relimited(definition, members, on_demand=on_demand), members, on_demand=on_demand
        )
        return msgspec.structs.replace(document, definition=definition)

    def _check_billing(self, table: TableState, updates: IndexUpdates, mode: BillingMode) -> None:
        if mode == "PAY_PER_REQUEST" or table.document.definition.billing_mode == mode:
            return
        for index in table.every_index:
            asked = (updates.changed or {}).get(index.definition.name, {})
            if not index.schema.is_local and "ProvisionedThroughput" not in asked:
                raise validation_error(
                    f"{INVALID}ProvisionedThroughput must be specified for index: {index.definition.name}"
                )

    def _free(self, table: TableState) -> None:
        """On demand an index has no units."""
        for index in table.every_index:
            definition = replace(index.definition, read_units=0, write_units=0)
            self._catalog.save_index(table, msgspec.structs.replace(index.document, definition=definition))

    # ---- going and being filled ----------------------------------------------------------------------------

    def advance(self, table: TableState) -> None:
        """One step of what is under way: who waits for an index by describing its table pushes it on."""
        self.settle(table)
        # It is described all the same; housekeeping says what is wrong, and tries again.
        with suppress(StoreError):
            self.fill(table)

    def settle(self, table: TableState) -> None:
        """End the waiting of indexes whose time has come."""
        for index in table.every_index:
            if index.document.status == "DELETING" and self._is_over(index):
                self._catalog.remove_index(table, index)

    def _is_over(self, index: TableIndex) -> bool:
        return self._clock.now().wall_ms >= index.document.busy_until_ms

    def fill_all(self) -> Iterator[None]:
        """Fill what is being created, everywhere; each yield is a good moment to flush. Ends when a commit
        fails.

        Raises:  StoreError at the end, when the rows of a table could not be read: the others are filled, and
                 so may this one be next time.
        """
        failures = self._committer.failures
        return in_turn(self._fill_table(name, failures) for name in tuple(self._catalog.tables))

    def _fill_table(self, name: str, failures: int) -> Iterator[None]:
        # Found again for each slice: a commit that failed has the catalog loaded anew.
        while self._committer.failures == failures and (table := self._catalog.tables.get(name)) is not None:
            self.settle(table)
            if not self.fill(table):
                return
            yield

    def fill(self, table: TableState) -> bool:
        """One slice of one index of a table; whether there was something to do."""
        for index in table.every_index:
            if index.document.status == "CREATING" and self._is_over(index):
                self._fill(table, index)
                return True
        return False

    def _fill(self, table: TableState, index: TableIndex) -> None:
        position = index.document.position
        first = position + b"\0" if position else b""
        rows = self._committer.query(table.schema.number, first, None, self._settings.slice_rows)
        for key, data in rows:
            entry = index.schema.entry(orjson.loads(data), key)
            if entry is not None:
                whole = data if index.schema.projected is None else None
                self._indexing.replace(index.number, EntryChange(None, entry), whole)
                self._catalog.resize(index, 1, size_bytes(entry.item))
        if len(rows) < self._settings.slice_rows:
            document = msgspec.structs.replace(index.document, status="ACTIVE", position=b"")
        else:
            document = msgspec.structs.replace(index.document, position=rows[-1][0])
        self._catalog.save_index(table, document)

    # ---- being described -----------------------------------------------------------------------------------

    def described(self, table: TableState, arn: str, status: str) -> dict[str, Any]:
        """The index members of AWS's TableDescription; `status` is the table's."""
        answer: dict[str, Any] = {}
        for index in table.every_index:
            member = "LocalSecondaryIndexes" if index.schema.is_local else "GlobalSecondaryIndexes"
            description = describe_index(
                index.document,
                f"{arn}/index/{index.definition.name}",
                items=index.items,
                size_bytes=index.size_bytes,
                on_demand=table.document.definition.billing_mode == "PAY_PER_REQUEST",
                status="CREATING" if status == "CREATING" else index.document.status,
                is_filling=status == "ACTIVE" and self._is_over(index),
            )
            answer.setdefault(member, []).append(description)
        return answer

    def attribute_definitions(self, table: TableState) -> list[dict[str, str]]:
        """AWS's AttributeDefinitions: the key attributes of the table and of its indexes."""
        indexes = tuple(index.definition for index in table.every_index)
        return replace(table.document.definition, indexes=indexes).attribute_definitions()


def _named(table: TableState, name: str) -> IndexDocument:
    return next(index.document for index in table.every_index if index.definition.name == name)


def _nothing() -> None:
    """Until the server runs the slices."""
