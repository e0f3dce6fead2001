"""`db: Annotated[Client, Depends(app.client)]`: typed reads and writes by a handler, in whatever DynamoDB the
app is attached to.

Theory of operation: what a call asks and what its answer means is written once, as steps that yield requests;
a client only says how a request is carried out: `Client` waits in its thread, for `def` handlers,
`AsyncClient` is awaited, for `async def`. Writes take effect at once, each on its own, and again when the
change is delivered again; what is to be exactly once goes on `change.transaction`.
Rules of this file: no transport, no engine, no boto3; a `Door` has them. Decision 32. Doors are made by
`compose_worker`: of the embedded engine, or of `app.transactions`.
"""

from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar, overload

from tailrace.app.depends import Depends
from tailrace.app.entity import Entity
from tailrace.app.plain import to_item, to_plain_item
from tailrace.app.querying import query_of
from tailrace.app.table import Table
from tailrace.app.typed import EntityOf, Named, entity_named, key_of, put_of, update_of
from tailrace.errors import SettingsError

T = TypeVar("T")
Members: TypeAlias = Mapping[str, Any]
Steps: TypeAlias = Generator[tuple[str, Members], Members, T]
"""Requests (an operation and its members, in DynamoDB JSON), each answered; then what the call returns."""


class Door(Protocol):
    """What carries requests out. Raises: ApiError for a refusal, Throttled, Unavailable."""

    def call(self, operation: str, members: Members) -> Members:
        """One request; waits for its answer."""

    def begin(self, operation: str, members: Members) -> Awaitable[Members]:
        """One request, to be awaited."""


class Attached(NamedTuple):
    """The DynamoDB that an app is attached to, and what its appends are told. Units: now_ms since the epoch.
    Shape: `new_name` gives a name that nothing has had.
    """

    door: Callable[[], Door]
    now_ms: Callable[[], int]
    new_name: Callable[[], str]


class Asking:
    """What the calls ask, for both kinds of clients and for the test world."""

    def __init__(self, entity_of: EntityOf) -> None:
        self._of = entity_of

    def get(self, target: Table | str | Named, key: Members | None, fields: Members) -> Steps[Any]:
        """GetItem, consistent."""
        table, content = key_of(target, key, fields, self._of)
        answer = yield "GetItem", {"TableName": str(table), "Key": content, "ConsistentRead": True}
        item = answer.get("Item")
        if item is None:
            return None
        is_plain = isinstance(target, Table | str)
        return to_plain_item(item) if is_plain else entity_named(target, self._of).decode(item)

    def put(self, target: Any, item: Members | None, beside: Members) -> Steps[None]:
        """An item, or an object of an entity with `item` None; `beside` are other members of PutItem."""
        table, content = put_of(target, item, self._of)
        yield "PutItem", {"TableName": str(table), "Item": content, **beside}

    def update(
        self,
        target: Table | str | Named,
        key: Members | None,
        expression: str | None,
        condition: str | None,
        names: Mapping[str, str] | None,
        values: Members | None,
        attributes: Members,
    ) -> Steps[None]:
        """UpdateItem."""
        asked = update_of(target, key, expression, names, values, attributes, self._of)
        members = {
            "TableName": str(asked.table),
            "Key": asked.key,
            "UpdateExpression": asked.expression,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": asked.names,
            "ExpressionAttributeValues": asked.values,
        }
        yield "UpdateItem", {name: value for name, value in members.items() if value}

    def delete(
        self, target: Table | str | Named, key: Members | None, fields: Members, beside: Members
    ) -> Steps[None]:
        """DeleteItem."""
        table, content = key_of(target, key, fields, self._of)
        yield "DeleteItem", {"TableName": str(table), "Key": content, **beside}

    def query(
        self,
        target: Table | str | Named,
        expression: str | None,
        index: str | None,
        names: Mapping[str, str] | None,
        values: Members | None,
        fields: Members,
        *,
        reverse: bool,
        limit: int | None,
    ) -> Steps[list[Any]]:
        """Query, page after page."""
        if limit is not None and limit < 1:
            raise SettingsError(
                f"query: limit={limit} is not allowed; it is at least 1, or left out for everything"
            )
        asked = query_of(target, expression, index, names, values, fields, self._of, reverse=reverse)
        items: list[Any] = []
        start: Members = {}
        while True:
            page = yield "Query", {**asked.members, **start}
            items += asked.items(page)
            if "LastEvaluatedKey" not in page or (limit is not None and len(items) >= limit):
                return items[:limit]
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def condition_of(condition: str | None, names: Mapping[str, str] | None, values: Members | None) -> Members:
    """The members of a condition. Raises: SettingsError."""
    members = {
        "ConditionExpression": condition,
        "ExpressionAttributeNames": dict(names or {}),
        "ExpressionAttributeValues": to_item(values or {}),
    }
    return {name: value for name, value in members.items() if value}


class _Bound:
    def __init__(self, door: Door, entity_of: EntityOf) -> None:
        self.door = door
        self._asking = Asking(entity_of)


class Client(_Bound):
    """Items of the attached DynamoDB, for `def` handlers. Shape: targets are those of `world.put`: entities
    and fields, or tables and plain values.

    Guarantee: what a call wrote is durable when it returns; a handler's writes are told apart from others'
               (docs/guarantees.md, loops).
    Raises:    every call: ApiError when it is refused, as by a condition; Throttled, Unavailable, which use
               up no attempt; SettingsError, ItemError.
    """

    @overload
    def get(self, target: Table | str, key: Members) -> dict[str, Any] | None: ...
    @overload
    def get(self, target: type[T] | Entity[T], key: Members | None = None, **fields: Any) -> T | None: ...
    def get(self, target: Any, key: Members | None = None, **fields: Any) -> Any:
        """An item, `db.get(Order, id="o1")`, or its plain values; None when it is not there."""
        return answered(self._asking.get(target, key, fields), self.door)

    def put(
        self,
        target: Table | str | object,
        item: Members | None = None,
        *,
        condition: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Members | None = None,
    ) -> None:
        """Put an item, `db.put(Order(id="o1"))`, if the condition holds."""
        answered(self._asking.put(target, item, condition_of(condition, names, values)), self.door)

    def update(
        self,
        target: Table | str | Named,
        key: Members | None = None,
        expression: str | None = None,
        *,
        condition: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Members | None = None,
        **attributes: Any,
    ) -> None:
        """Update an item, `db.update(Order, id="o1", status="paid")` or by an expression, on a condition."""
        answered(
            self._asking.update(target, key, expression, condition, names, values, attributes), self.door
        )

    def delete(
        self,
        target: Table | str | Named,
        key: Members | None = None,
        *,
        condition: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Members | None = None,
        **fields: Any,
    ) -> None:
        """Delete an item, `db.delete(Order, id="o1")`, if the condition holds."""
        answered(self._asking.delete(target, key, fields, condition_of(condition, names, values)), self.door)

    @overload
    def query(
        self,
        target: Table | str,
        expression: str,
        *,
        index: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Members | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> list[dict[str, Any]]: ...
    @overload
    def query(
        self,
        target: type[T] | Entity[T],
        expression: str | None = None,
        *,
        index: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Members | None = None,
        reverse: bool = False,
        limit: int | None = None,
        **fields: Any,
    ) -> list[T]: ...
    def query(
        self,
        target: Any,
        expression: str | None = None,
        *,
        index: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Members | None = None,
        reverse: bool = False,
        limit: int | None = None,
        **fields: Any,
    ) -> list[Any]:
        """The items of one partition of a table or an index, in order:
        `db.query(Order, index="by_country", country="NL")`.

        Shape:   the fields of the partition key, and as many of the sort key's as there are; or an expression
                 on the sort key, `"total > :t"`.
        """
        steps = self._asking.query(
            target, expression, index, names, values, fields, reverse=reverse, limit=limit
        )
        return answered(steps, self.door)


class AsyncClient(_Bound):
    """`Client` for `async def` handlers: each call is awaited. Guarantees and errors are the same."""

    @overload
    async def get(self, target: Table | str, key: Members) -> dict[str, Any] | None: ...
    @overload
    async def get(
        self, target: type[T] | Entity[T], key: Members | None = None, **fields: Any
    ) -> T | None: ...
    async def get(self, target: Any, key: Members | None = None, **fields: Any) -> Any:
        """As `Client.get`."""
        return await awaited(self._asking.get(target, key, fields), self.door)

    async def put(
        self,
        target: Table | str | object,
        item: Members | None = None,
        *,
        condition: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Members | None = None,
    ) -> None:
        """As `Client.put`."""
        await awaited(self._asking.put(target, item, condition_of(condition, names, values)), self.door)

    async def update(
        self,
        target: Table | str | Named,
        key: Members | None = None,
        expression: str | None = None,
        *,
        condition: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Members | None = None,
        **attributes: Any,
    ) -> None:
        """As `Client.update`."""
        await awaited(
            self._asking.update(target, key, expression, condition, names, values, attributes), self.door
        )

    async def delete(
        self,
        target: Table | str | Named,
        key: Members | None = None,
        *,
        condition: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Members | None = None,
        **fields: Any,
    ) -> None:
        """As `Client.delete`."""
        await awaited(
            self._asking.delete(target, key, fields, condition_of(condition, names, values)), self.door
        )

    @overload
    async def query(
        self,
        target: Table | str,
        expression: str,
        *,
        index: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Members | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> list[dict[str, Any]]: ...
    @overload
    async def query(
        self,
        target: type[T] | Entity[T],
        expression: str | None = None,
        *,
        index: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Members | None = None,
        reverse: bool = False,
        limit: int | None = None,
        **fields: Any,
    ) -> list[T]: ...
    async def query(
        self,
        target: Any,
        expression: str | None = None,
        *,
        index: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Members | None = None,
        reverse: bool = False,
        limit: int | None = None,
        **fields: Any,
    ) -> list[Any]:
        """As `Client.query`."""
        steps = self._asking.query(
            target, expression, index, names, values, fields, reverse=reverse, limit=limit
        )
        return await awaited(steps, self.door)


def check_client(place: str, dependencies: Mapping[str, Depends], other: Callable[..., Any]) -> None:
    """Refuse the client of the other kind of handlers: one that waits would block the loop.

    Raises:  SettingsError.
    """
    for name, dependency in dependencies.items():
        if dependency.provider == other:
            is_waiting = dependency.provider.__name__ == "client"
            reason, wanted = (
                (
                    "Client is for def handlers, and this is a coroutine",
                    "AsyncClient, Depends(app.async_client)",
                )
                if is_waiting
                else ("AsyncClient is for coroutines, and this is none", "Client, Depends(app.client)")
            )
            raise SettingsError(f"{place}: {name}: {reason}: Annotated[{wanted}]")


def unprovided(kind: str, name: str) -> SettingsError:
    """What is raised where no worker provides a client."""
    return SettingsError(
        f"app.{name}() is not called: a worker provides it",
        hint=f"db: Annotated[{kind}, Depends(app.{name})] in a handler; world.get, world.put … in a test",
    )


def unattached() -> Door:
    """The door of an app that is attached to nothing. Raises: SettingsError."""
    raise SettingsError(
        "no DynamoDB is attached, so aggregates are nowhere",
        hint="db=db with db: Annotated[Client, Depends(app.client)] in a handler; "
        "app.attach(boto3.client('dynamodb')) in a service; world.use(app) in a test",
    )


def answered(steps: Steps[T], door: Door) -> T:
    """Carry out the steps, waiting. Raises: what the steps raise, or let through of what the door raises."""
    request = _next(steps, None)
    while not isinstance(request, _Done):
        try:
            answer = door.call(*request)
        except Exception as error:  # the steps are told where they wait, and know which refusals they expect
            request = _refused(steps, error)
        else:
            request = _next(steps, answer)
    value: T = request.value
    return value


async def awaited(steps: Steps[T], door: Door) -> T:
    """Carry out the steps, awaiting. Raises: as `answered`."""
    request = _next(steps, None)
    while not isinstance(request, _Done):
        try:
            answer = await door.begin(*request)
        except Exception as error:  # as above
            request = _refused(steps, error)
        else:
            request = _next(steps, answer)
    value: T = request.value
    return value


class _Done:
    """The value that the steps returned."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _next(steps: Steps[Any], answer: Members | None) -> tuple[str, Members] | _Done:
    try:
        return next(steps) if answer is None else steps.send(answer)
    except StopIteration as stop:
        return _Done(stop.value)


def _refused(steps: Steps[Any], error: Exception) -> tuple[str, Members] | _Done:
    try:
        return steps.throw(error)
    except StopIteration as stop:
        return _Done(stop.value)
