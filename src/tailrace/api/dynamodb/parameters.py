"""What several operations take alike: expressions with placeholders, return values, selections.

Rules of this file: it reads members whose types and constraints are checked; every refusal is AWS's text, in
AWS's order.
Source: semantics §6.4 (around expressions), §6.6, §6.8. Used by the files under `api.dynamodb`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from tailrace.api.dynamodb import capacity
from tailrace.api.dynamodb.collections import collection_metrics
from tailrace.api.wire import Payload
from tailrace.api.wordings import LonelyValues
from tailrace.engine.engine import Engine
from tailrace.engine.paging import ItemPage, Paging
from tailrace.engine.query import wrong_start
from tailrace.engine.slices import Slices
from tailrace.errors import ApiError, validation_error
from tailrace.expressions.condition import Condition, parse_condition
from tailrace.expressions.legacy import check_operator, read_attributes_to_get, read_expected
from tailrace.expressions.legacy import read_filter as read_legacy_filter
from tailrace.expressions.placeholders import NO_PLACEHOLDERS, Placeholders
from tailrace.expressions.projection import ProjectionExpression, parse_projection
from tailrace.tables.indexes import TableIndexSchema
from tailrace.tables.mutate import Mutation, Operation, require_room
from tailrace.values.types import AttributeValue, Item
from tailrace.values.wire import check_names, read_item, read_value
from tailrace.values.wordings import DUPLICATES, NUMERIC, WrongValue

NAME_KEY: Final = re.compile(r"#[0-9a-zA-Z_]+").fullmatch
VALUE_KEY: Final = re.compile(r":[0-9a-zA-Z_]+").fullmatch
SAID_BARE: Final = NUMERIC | DUPLICATES | {"empty number set"}
"""What is wrong with a value of a starting key is told as such, but for these. Source: [D]."""


def read_placeholders(payload: Payload, *expressions: str, any_depth: bool = False) -> Placeholders:
    """`ExpressionAttributeNames` and `…Values` of a request that may hold these expressions. Raises:
    ApiError.

    Shape:   `any_depth` is for transactions, which judge how deep a value is only when it is stored.
    """
    names: Mapping[str, str] | None = payload.get("ExpressionAttributeNames")
    raw: Mapping[str, object] | None = payload.get("ExpressionAttributeValues")
    if names is None and raw is None:
        return NO_PLACEHOLDERS
    _refuse_lonely(payload, expressions)
    try:
        if names is not None:
            _check_names(names)
        if raw is None or expressions == ("ProjectionExpression",):  # which takes none
            return Placeholders(names)
        return Placeholders(names, _read_values(raw, any_depth))
    except ApiError:
        _refuse_sooner(payload, expressions)
        raise


def _refuse_lonely(payload: Payload, expressions: Sequence[str]) -> None:
    """Placeholders where no expression takes them. Raises: ApiError."""
    for name in expressions:
        if name in payload and name != "ProjectionExpression":
            return  # it takes names and values, as in nearly every request that has any
    if "ExpressionAttributeNames" in payload and not any(name in payload for name in expressions):
        raise validation_error("ExpressionAttributeNames can only be specified when using expressions")
    taking = [name for name in expressions if name != "ProjectionExpression"]
    if taking and "ExpressionAttributeValues" in payload and not any(name in payload for name in taking):
        verb = "is" if len(taking) == 1 else "are"
        raise LonelyValues(f"{' and '.join(taking)} {verb} null")


def _refuse_sooner(payload: Payload, expressions: Sequence[str]) -> None:
    """What AWS says before it says what is wrong with a placeholder. Raises: ApiError."""
    for member in ("Item", "Key"):
        if member in payload:
            read_item(payload[member])
    if "UpdateExpression" not in expressions:
        old_or_nothing(payload)
    if "Item" in payload:
        require_room(payload["Item"])
    read_start_key(payload)


def _check_names(names: Mapping[str, str]) -> None:
    if not names:
        raise validation_error("ExpressionAttributeNames must not be empty")
    for key in names:
        if NAME_KEY(key) is None:
            raise validation_error(
                f'ExpressionAttributeNames contains invalid key: Syntax error; key: "{key}"'
            )
    check_names(names.values())


def _read_values(raw: Mapping[str, object], any_depth: bool) -> dict[str, AttributeValue]:
    if not raw:
        raise validation_error("ExpressionAttributeValues must not be empty")
    for key in raw:
        if VALUE_KEY(key) is None:
            raise validation_error(
                f'ExpressionAttributeValues contains invalid key: Syntax error; key: "{key}"'
            )
    values: dict[str, AttributeValue] = {}
    for key, value in raw.items():
        try:
            values[key] = read_value(value, any_depth=any_depth)
        except WrongValue as error:
            raise error.behind(key) from None
    return values


def read_legacy_condition(payload: Payload, member: str) -> Condition | None:
    """What of the legacy members stands in for a ConditionExpression or FilterExpression. Raises: ApiError.

    Shape:   `member` is Expected, QueryFilter or ScanFilter.
    """
    operator = payload.get("ConditionalOperator")
    conditions = payload.get(member)
    if conditions is None:
        check_operator(operator, 0)
        return None
    return (
        read_expected(conditions, operator)
        if member == "Expected"
        else read_legacy_filter(conditions, operator, member)
    )


def read_condition(payload: Payload, placeholders: Placeholders) -> Condition | None:
    """The condition of a write, if there is one. Raises: ApiError."""
    text = payload.get("ConditionExpression")
    if text is not None:
        return parse_condition(text, placeholders)
    if "Expected" in payload or "ConditionalOperator" in payload:
        return read_legacy_condition(payload, "Expected")
    return None


def read_filter(payload: Payload, placeholders: Placeholders, legacy: str) -> Condition | None:
    """The filter of a Query or Scan, if any; `legacy` is QueryFilter or ScanFilter. Raises: ApiError."""
    text = payload.get("FilterExpression")
    if text is not None:
        return parse_condition(text, placeholders, kind="FilterExpression")
    return read_legacy_condition(payload, legacy)


def read_projection(payload: Payload, placeholders: Placeholders) -> ProjectionExpression | None:
    """The ProjectionExpression or AttributesToGet, if there is one. Raises: ApiError."""
    text = payload.get("ProjectionExpression")
    if text is not None:
        return parse_projection(text, placeholders)
    names = payload.get("AttributesToGet")
    return None if names is None else read_attributes_to_get(names)


def refuse_key_paths(
    engine: Engine,
    payload: Payload,
    projection: ProjectionExpression | None,
    condition: Condition | None = None,
) -> None:
    """Paths into key attributes, which hold nothing. Raises: ApiError. Source: [D]."""
    for expression in (projection, condition):
        if expression is not None and (nested := expression.nested_names()):
            engine.check_paths(payload["TableName"], nested)


def read_start_key(payload: Payload) -> Item | None:
    """The ExclusiveStartKey, if there is one. Raises: ApiError. Source: semantics §6.6."""
    raw = payload.get("ExclusiveStartKey")
    if raw is None:
        return None
    try:
        return read_item(raw)
    except WrongValue as error:
        if error.fault in SAID_BARE:
            raise
        raise wrong_start(error.message) from None


def wants_old_on_failure(payload: Payload) -> bool:
    """Whether a failed condition answers with the item."""
    return payload.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"


def old_or_nothing(payload: Payload) -> bool:
    """Whether PutItem or DeleteItem answers with the old item. Raises: ApiError. Source: semantics §6.5."""
    returns = payload.get("ReturnValues", "NONE")
    if returns not in ("NONE", "ALL_OLD"):
        raise validation_error("ReturnValues can only be ALL_OLD or NONE")
    return bool(returns == "ALL_OLD")


def written(
    engine: Engine, payload: Payload, mutation: Mutation, attributes: Item | None
) -> Mapping[str, Any] | bytes:
    """The answer to a write: attributes, capacity and collection metrics, where they are wanted."""
    measured = "ReturnConsumedCapacity" in payload or "ReturnItemCollectionMetrics" in payload
    if not attributes and not measured:
        return b"{}"
    answer: dict[str, Any] = {"Attributes": attributes} if attributes else {}
    if not measured:
        return answer
    table = payload["TableName"]
    if capacity.is_wanted(payload):
        cost = capacity.Cost()
        cost.add_write(engine.indexes(table), mutation)
        answer["ConsumedCapacity"] = capacity.consumed(payload, table, cost)
    metrics = collection_metrics(engine, payload, table, mutation.keys)
    if metrics is not None:
        answer["ItemCollectionMetrics"] = metrics
    return answer


def write_slowly(
    engine: Engine, operation: Operation, answer: Callable[[Mutation], Mapping[str, Any] | bytes]
) -> Slices[Mapping[str, Any] | bytes]:
    """Do a write whose condition takes long to judge. Raises: ApiError."""
    judged = yield from engine.judged(operation)
    return answer(engine.write(judged))


def counts_only(payload: Payload) -> bool:
    """Whether `Select` counts. Raises: ApiError where a projection contradicts. Source: semantics §6.6."""
    select = payload.get("Select")
    if select is None:
        return False
    projecting = [name for name in ("AttributesToGet", "ProjectionExpression") if name in payload]
    if select == "ALL_PROJECTED_ATTRIBUTES" and "IndexName" not in payload:
        raise validation_error("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
    if select == "SPECIFIC_ATTRIBUTES":
        if not projecting:
            raise validation_error(
                "Must specify the AttributesToGet or ProjectionExpression when choosing to get "
                "SPECIFIC_ATTRIBUTES"
            )
        return False
    if projecting:
        what = "only the Count" if select == "COUNT" else str(select)
        raise validation_error(f"Cannot specify the {projecting[0]} when choosing to get {what}")
    return bool(select == "COUNT")


def page_answer(
    payload: Payload, paging: Paging, counts: bool, index: TableIndexSchema | None = None
) -> bytes | Slices[bytes]:
    """The answer of Query and Scan; in slices, unless one small read tells it all. Raises: ApiError."""
    page = paging.few()
    return (
        _paged(payload, paging, counts, index) if page is None else page_bytes(payload, page, counts, index)
    )


def _paged(payload: Payload, paging: Paging, counts: bool, index: TableIndexSchema | None) -> Slices[bytes]:
    page = yield from paging.slices()
    return page_bytes(payload, page, counts, index)


def page_bytes(
    payload: Payload, page: ItemPage, counts: bool, index: TableIndexSchema | None = None
) -> bytes:
    """The answer of Query and Scan, with the stored bytes spliced in."""
    tail = b'"Count":%d,"ScannedCount":%d' % (page.count, page.scanned_count)
    if page.last_key is not None:
        tail += b',"LastEvaluatedKey":' + orjson.dumps(page.last_key)
    if capacity.is_wanted(payload):
        cost = capacity.Cost(sum((capacity.read_units(size, payload) for size in page.fetched_bytes), 0.0))
        units = capacity.read_units(page.scanned_bytes, payload)
        if index is None:
            cost.table = units
        else:
            cost.charge(index, units)
        tail += b',"ConsumedCapacity":' + orjson.dumps(capacity.consumed(payload, payload["TableName"], cost))
    if counts:
        return b"{" + tail + b"}"
    return b'{"Items":[' + b",".join(page.items) + b"]," + tail + b"}"
