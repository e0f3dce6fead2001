"""What UpdateTable does to a table's own settings: billing, throughput, class, protection, options.

Rules of this file: documents in, documents out; what is wrong is refused before anything is kept. Called by
`engine.lifecycle`.
Source: semantics §6.11.
"""

from typing import Any

import msgspec
from msgspec.structs import replace

from tailrace.engine.documents import TableDocument
from tailrace.errors import validation_error
from tailrace.tables.definition import SAME_THROUGHPUT, TableChange, TableDefinition
from tailrace.tables.options import ON_DEMAND_WARM, apply_options, check_encryption
from tailrace.tables.throughput import UNITS_MISSING, UNITS_REFUSED


def changed(document: TableDocument, change: TableChange, wall_ms: int) -> TableDocument:
    """The document with everything but stream and indexes changed. Raises: ApiError."""
    document = _rebilled(document, change, wall_ms)
    if change.deletion_protection is not None:
        document = redefined(document, deletion_protection=change.deletion_protection)
    if change.table_class is not None:
        document = msgspec.structs.replace(
            redefined(document, table_class=change.table_class), class_ms=wall_ms
        )
    if change.options is not None:
        definition = document.definition
        check_encryption(definition.options, change.options)
        options = apply_options(
            definition.options,
            change.options,
            on_demand=definition.billing_mode == "PAY_PER_REQUEST",
            floor=warm_floor(definition),
        )
        document = redefined(document, options=options)
    return document


def warm_floor(definition: TableDefinition) -> tuple[int, int]:
    """The warm throughput that a table has without asking: (reads, writes) a second."""
    if definition.billing_mode == "PAY_PER_REQUEST":
        return ON_DEMAND_WARM
    return definition.read_units, definition.write_units


def redefined(document: TableDocument, **changes: Any) -> TableDocument:
    """The document with another definition."""
    return msgspec.structs.replace(document, definition=replace(document.definition, **changes))


def _rebilled(document: TableDocument, change: TableChange, wall_ms: int) -> TableDocument:
    definition = document.definition
    mode = change.billing_mode or definition.billing_mode
    if mode == "PAY_PER_REQUEST":
        if change.throughput is not None:
            raise validation_error(UNITS_REFUSED)
        if definition.billing_mode != mode:
            document = msgspec.structs.replace(document, on_demand_ms=wall_ms)
        return redefined(document, billing_mode=mode, read_units=0, write_units=0)
    if change.throughput is None:
        if definition.billing_mode != mode:
            raise validation_error(UNITS_MISSING)
        return document
    before = definition.read_units, definition.write_units
    if definition.billing_mode == mode:
        if change.throughput == before:
            raise validation_error(SAME_THROUGHPUT.format(*before))
        history = document.throughput.after(before, change.throughput, wall_ms)
        document = msgspec.structs.replace(document, throughput=history)
    limits = replace(definition.options, most_read_units=None, most_write_units=None)
    read_units, write_units = change.throughput
    return redefined(
        document, billing_mode=mode, read_units=read_units, write_units=write_units, options=limits
    )
