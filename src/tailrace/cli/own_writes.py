"""Warnings before the first change: handlers that write to the table that they read, as their source shows.

Rules of this file: it reads source and runs none of it; what it cannot see is seen at run time
(runtime/recursion.py), so it never guesses: a table is the handler's own only when its name, or the object
behind a name, says so. A write that the handler's filter cannot let through does not call it again: one that
makes other events, or an item whose literal key is of another class. Called by `dev`.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any, Final

import orjson

from tailrace.app.app import App, HandlerMapping
from tailrace.app.filtering import Filter
from tailrace.app.table import Table, key_names
from tailrace.sinks.dynamodb_table import DynamoDB

RECORDED: Final = frozenset(("put", "update", "delete"))
"""Methods of `change.transaction` and of the client that `app.client` provides."""
WRITES: Final = frozenset(
    ("put_item", "update_item", "delete_item", "batch_write_item", "transact_write_items")
)
"""Methods of clients and of boto3's Table."""
TARGETS: Final = ("TableName", "RequestItems", "TransactItems")
"""Their parameters that name tables."""
MAKES: Final[dict[str, frozenset[str]]] = {
    "put": frozenset(("INSERT", "MODIFY")),
    "update": frozenset(("INSERT", "MODIFY")),
    "delete": frozenset(("REMOVE",)),
}
"""The events that a method makes, by the word it begins with; others make all of them."""


def own_writes(mapping: HandlerMapping) -> Iterator[str]:
    """Warnings about one mapping."""
    own = mapping.table.name
    writes = [f"its sink is the table {own}"] if _is_own(mapping.sink, own) else []
    if mapping.kind != "sink":
        writes += [f"line {line} of it writes to {own}" for line in _lines(mapping)]
    if not writes:
        return
    settings = mapping.settings
    kept_out = ", unless its filter keeps them out" if settings.accepts or settings.filters else ""
    yield (
        f"{writes[0]}, which it reads: what it writes calls it again{kept_out}. After "
        f"{settings.max_generations} of its own changes in one "
        "line it is paused, and nothing is lost; write only where something changes, or choose with where="
    )


def _is_own(sink: Any, own: str) -> bool:
    """Whether a sink is that table of DynamoDB; one of another database that has its name is not."""
    if not isinstance(sink, DynamoDB):
        return False
    return sink.table.rpartition("/")[2] == own and sink.access.endpoint_url is None


def _lines(mapping: HandlerMapping) -> list[int]:
    """The lines of a handler, counted in its file, that write to its table what may call it again."""
    own, function = mapping.table.name, inspect.unwrap(mapping.target)
    try:
        text, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(text)))
    except (OSError, TypeError, SyntaxError):
        return []  # a callable without source, or one whose source stands alone in no file
    try:
        known = inspect.getclosurevars(function)
        names = {**known.globals, **known.nonlocals}
    except (TypeError, ValueError):
        names = {}
    clients = frozenset(
        name
        for name, dependency in mapping.dependencies.items()
        if isinstance(getattr(dependency.provider, "__self__", None), App)
    )
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (_writes(node, own, names, clients) or _writes_typed(node, mapping, names, clients))
        and _may_call(mapping, node)
    ]
    return sorted(node.lineno + first - 1 for node in calls)


def _may_call(mapping: HandlerMapping, call: ast.Call) -> bool:
    """Whether the mapping's own filter may let through what a call writes."""
    if not isinstance(accepts := mapping.settings.accepts, Filter):
        return True
    made = MAKES.get(call.func.attr.partition("_")[0]) if isinstance(call.func, ast.Attribute) else None
    if made is not None and made.isdisjoint(accepts.changes.events):
        return False
    keys = _literal_keys(call, key_names(mapping.table))
    return (
        mapping.entity is None
        or keys is None
        or mapping.table.entities.of(orjson.dumps(keys)) is mapping.entity
    )


def _literal_keys(call: ast.Call, names: Iterable[str]) -> dict[str, dict[str, str]] | None:
    """The key of an item that stands literally in a call, as of `change.transaction`; None: none does."""
    item = call.args[1] if len(call.args) > 1 else None
    if not isinstance(item, ast.Dict):
        return None
    fields = {
        key.value: value.value
        for key, value in zip(item.keys, item.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(value, ast.Constant)
    }
    key = {name: fields.get(name) for name in names}
    typed = {name: {"S": text} for name, text in key.items() if isinstance(text, str)}
    return typed if len(typed) == len(key) else None


def _is_recorded(call: ast.Call, clients: frozenset[str]) -> bool:
    """Whether it writes as `change.transaction` and the client of a handler do: the target comes first."""
    match call.func:
        case ast.Attribute(ast.Attribute(_, "transaction"), method):
            return method in RECORDED and bool(call.args)
        case ast.Attribute(ast.Name(name), method):
            return name in clients and method in RECORDED and bool(call.args)
    return False


def _writes_typed(
    call: ast.Call, mapping: HandlerMapping, names: dict[str, Any], clients: frozenset[str]
) -> bool:
    """Whether it writes an instance or a class of the handler's table, and of its entity where it has one."""
    if not _is_recorded(call, clients):
        return False
    match call.args[0]:
        case ast.Name(name) | ast.Call(ast.Name(name)):
            named = names.get(name)
        case _:
            return False
    written = next((entity for entity in mapping.table.entities if named in (entity, entity.cls)), None)
    return written is not None and mapping.entity in (None, written)


def _writes(call: ast.Call, own: str, names: dict[str, Any], clients: frozenset[str]) -> bool:
    if _is_recorded(call, clients):
        return _means(call.args[0], own, names)
    match call.func:
        case ast.Attribute(receiver, method) if method in WRITES:
            arguments = list(call.args)
            arguments += [keyword.value for keyword in call.keywords if keyword.arg in TARGETS]
            return _means(receiver, own, names) or any(
                _mentions(argument, own, names) for argument in arguments
            )
    return False


def _mentions(node: ast.expr, own: str, names: dict[str, Any]) -> bool:
    return any(isinstance(inner, ast.expr) and _means(inner, own, names) for inner in ast.walk(node))


def _means(node: ast.expr, own: str, names: dict[str, Any]) -> bool:
    """Whether an expression is the handler's table: its name, it, boto3's object of it, `change.table`."""
    match node:
        case ast.Constant(str() as text):
            return text == own
        case ast.Name(name):
            named = names.get(name)
            if isinstance(named, Table):
                return named.name == own
            return own in (named if isinstance(named, str) else None, getattr(named, "table_name", None))
        case ast.Attribute(_, "table"):
            return True
        case ast.Attribute(ast.Name(name), "name"):
            named = names.get(name)
            return isinstance(named, Table) and named.name == own
    return False
