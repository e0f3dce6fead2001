"""What Query and Scan take for an index: its name, how consistent, and which attributes.

Rules of this file: it reads members whose types and constraints are checked; every refusal is AWS's text.
Used by the Query and Scan operations. Source: semantics §6.6.
"""

from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.errors import validation_error
from tailrace.expressions.condition import Condition
from tailrace.expressions.projection import ProjectionExpression
from tailrace.tables.indexes import TableIndexSchema
from tailrace.tables.schema import INVALID


def read_index(engine: Engine, payload: Payload) -> TableIndexSchema | None:
    """The index that a request reads, None for the table. Raises: ApiError."""
    name = payload.get("IndexName")
    if name is None:
        return None
    index = engine.index(payload["TableName"], name)
    if payload.get("ConsistentRead") and not index.is_local:
        raise validation_error("Consistent reads are not supported on global secondary indexes")
    return index


def fetches_items(
    payload: Payload,
    index: TableIndexSchema,
    projection: ProjectionExpression | None,
    condition: Condition | None,
) -> bool:
    """Whether a local index must fetch items from its table. Raises: ApiError for what a global one lacks."""
    if index.projected is None:
        return False
    if payload.get("Select") == "ALL_ATTRIBUTES":
        if not index.is_local:
            raise validation_error(
                f"{INVALID}Select type ALL_ATTRIBUTES is not supported for global secondary index "
                f"{index.name} "
                "because its projection type is not ALL"
            )
        return True
    wanted = () if projection is None else (str(path.parts[0]) for path in projection.paths)
    missing = [name for name in dict.fromkeys(wanted) if name not in index.projected]
    if missing and index.is_local:
        return True
    if missing:
        raise validation_error(
            f"{INVALID}Global secondary index {index.name} does not project [{', '.join(missing)}]"
        )
    filtered = () if condition is None else sorted(condition.attribute_names())
    missing = [name for name in filtered if name not in index.projected]
    if missing:
        raise validation_error(
            f"{INVALID}Secondary index {index.name} does not project one or more filter attributes: "
            f"[{', '.join(missing)}]"
        )
    return False
