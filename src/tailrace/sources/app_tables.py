"""The tables of an app in the embedded engine: made where they are not there yet, compared where they are.

Rules of this file: nothing that is there is changed; what differs is refused with the declaration that would fit. Called by `compose`.
"""

from collections.abc import Mapping
from typing import Any

from tailrace.app.app import App
from tailrace.engine.engine import Engine
from tailrace.errors import ApiError, SettingsError
from tailrace.tables.definition import TableDefinition


def create_tables(app: App, engine: Engine) -> None:
    """Make the app's tables where they are not there yet. Raises: SettingsError when one is there and differs."""
    for table in app.tables.values():
        definition = TableDefinition(
            table.name, table.pk, table.pk_type, table.sk, table.sk_type if table.sk else None, table.stream
        )
        try:
            found = engine.describe_table(table.name)
        except ApiError:
            engine.create_table(definition)
        else:
            _check_table(definition, found)
        if table.ttl is not None:
            _expire(engine, table.name, table.ttl)


def _expire(engine: Engine, table: str, attribute: str) -> None:
    """Let a table's items expire. Raises: SettingsError when they already do, by another attribute."""
    found = engine.time_to_live.describe(table).get("AttributeName")
    if found is None:
        try:
            engine.time_to_live.update(table, attribute, enabled=True)
        except ApiError as error:  # a table that is being made takes no other change, as on AWS
            raise SettingsError(
                f"table {table!r}: its items cannot be let expire yet: {error}",
                hint="start again in some seconds",
            ) from error
    elif found != attribute:
        raise SettingsError(
            f"table {table!r} is there with the TTL attribute {found!r} instead of {attribute!r}",
            hint=f"declare app.table({table!r}, …, ttl={found!r}), or change it with UpdateTimeToLive",
        )


def _check_table(declared: TableDefinition, found: Mapping[str, Any]) -> None:
    types = {each["AttributeName"]: each["AttributeType"] for each in found["AttributeDefinitions"]}
    keys = {each["AttributeName"]: types[each["AttributeName"]] for each in found["KeySchema"]}
    wanted = {each["AttributeName"]: each["AttributeType"] for each in declared.attribute_definitions()}
    if keys != wanted or next(iter(keys)) != declared.hash_name:
        raise SettingsError(
            f"table {declared.name!r} is there with another key: {_key_words(keys)} instead of {_key_words(wanted)}",
            hint="use another --data directory, or the key that the table has",
        )
    stream = found.get("StreamSpecification", {}).get("StreamViewType")
    if declared.stream is not None and stream != declared.stream:
        raise SettingsError(
            f"table {declared.name!r} is there with {'no stream' if stream is None else 'the stream ' + stream}, "
            f"and the app wants {declared.stream}",
            hint=f"declare app.table({declared.name!r}, …, stream={stream!r}), or change it with UpdateTable",
        )


def _key_words(keys: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({kind})" for name, kind in keys.items())
