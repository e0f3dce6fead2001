"""The tables of an app in the embedded engine: made where they are not there yet, compared where they are.

Rules of this file: nothing that is there is changed; what differs is refused with the declaration that would
fit. A missing index is added where UpdateTable adds one; an undeclared one stays. Called by `compose`.
"""

import logging
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

from tailrace.app.app import App
from tailrace.app.data_stream import DataStream
from tailrace.app.index import definitions
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.engine.kinesis.lifecycle import IN_USE, NewDataStream
from tailrace.errors import ApiError, SettingsError
from tailrace.streams.arns import ACCOUNT
from tailrace.tables.definition import TableChange, TableDefinition
from tailrace.tables.index_rules import IndexUpdates
from tailrace.tables.indexes import IndexDefinition

FEW_SLICES: Final = 8
"""So many slices of two milliseconds an index may take to be filled before the next one is added; a larger
one is waited for by the next start.
"""
LOG: Final = logging.getLogger("tailrace.handlers")


def create_tables(app: App, engine: Engine) -> None:
    """Make the app's tables and data streams where they are not there yet, and add indexes that are not.

    Raises:  SettingsError when one is there and differs.
    """
    _check_namespaces(app, engine.settings)
    _hold(app, engine)
    for table in app.tables.values():
        place = table.place
        view, name = (engine, table.name) if place is None else (engine.of(*place[:2]), place.table)
        definition = TableDefinition(
            name,
            table.pk,
            table.pk_type,
            table.sk,
            table.sk_type if table.sk else None,
            table.stream,
            indexes=definitions(table),
        )
        try:
            description = view.describe_table(name)
        except ApiError as error:
            if error.note:
                LOG.warning(
                    "table %s is made: %s, which region= and account= of app.table name", name, error.note
                )
            view.create_table(definition)
        else:
            _check_table(definition, description)
            _add_indexes(view, name, _missing_indexes(definition, description))
        if table.ttl is not None:
            _expire(view, name, table.ttl)
    for stream in app.data_streams.values():
        _make_stream(engine, stream)


def _make_stream(engine: Engine, stream: DataStream) -> None:
    """Make a data stream that is not there. Raises: SettingsError where it cannot be made."""
    streams = engine.kinesis.streams
    if streams.settled(streams.arn_of(stream.name)) is not None:
        return
    try:
        streams.create(NewDataStream(stream.name, shards=stream.shards))
    except ApiError as error:
        raise SettingsError(f"data stream {stream.name!r} cannot be made: {error.message}") from error


def copy_changes(app: App, engine: Engine) -> None:
    """Let the tables whose changes are read over data streams be copied into them: make a stream that is not
    there, enable a destination where the table has none. One that somebody disabled stays so, and is told.

    Raises:  SettingsError where a table cannot be copied there, as it is into another data stream.
    """
    streams = engine.kinesis.streams
    tables = [mapping.table for mapping in app.mappings]
    for name, stream in sorted({(table.name, table.over.stream) for table in tables if table.over}):
        _make_stream(engine, DataStream(stream))
        arn = streams.arn_of(stream)
        listed = engine.destinations.describe(name)["KinesisDataStreamDestinations"]
        status = next((one["DestinationStatus"] for one in listed if one["StreamArn"] == arn), "")
        if status in ("", "ENABLE_FAILED"):
            try:
                streams.idle(stream)
                engine.destinations.enable(name, arn, None)
            except ApiError as error:
                if error.code == IN_USE:  # with --aws-delays one of the two is being made
                    LOG.warning(
                        "table %s: it is copied into the data stream %s, over which the app reads its "
                        "changes, from the next start on: %s",
                        name, stream, error.message,
                    )  # fmt: skip
                    continue
                raise SettingsError(
                    f"table {name!r} cannot be copied into the data stream {stream!r}, over which the app "
                    f"reads its changes: {error.message}",
                    hint="DescribeKinesisStreamingDestination says where it is copied to: disable that, or "
                    "let app.kinesis name it",
                ) from error
        elif status in ("DISABLING", "DISABLED"):
            LOG.warning(
                "table %s is not copied into the data stream %s, over which the app reads its changes: the "
                "destination is %s. aws dynamodb enable-kinesis-streaming-destination --table-name %s "
                "--stream-arn %s",
                name, stream, status, name, arn,
            )  # fmt: skip


def _hold(app: App, engine: Engine) -> None:
    """Let the tables' streams wait for the archives that the app declares, and for no others."""
    archives = {mapping.table.name: mapping.archive for mapping in app.mappings if mapping.archive}
    for name in app.tables:
        engine.log.holds.release(name)
        if name in archives:
            engine.log.holds.hold(name, archives[name].hold_bytes)


def _check_namespaces(app: App, settings: EngineSettings) -> None:
    """Require that the app's names mean the data directory's rows. Raises: SettingsError."""
    if not settings.one_namespace:
        if (app.tables or app.data_streams) and (app.region, ACCOUNT) != (settings.region, settings.account):
            raise SettingsError(
                f"app {app.name!r} has its tables in region {app.region} (AWS_REGION, "
                "AWS_DEFAULT_REGION), and "
                f"this data directory was begun in region {settings.region}, account {settings.account}",
                hint=f"AWS_REGION={settings.region} and the same command, or another --data directory",
            )
        return
    for table in app.tables.values():
        if table.place is not None:
            raise SettingsError(
                f"table {table.place.table!r} is declared with a region or an account, and this data "
                "directory "
                "has one namespace for all of them",
                hint="leave region= and account= out, or use a new --data directory, without --one-namespace",
            )


def _missing_indexes(declared: TableDefinition, description: Mapping[str, Any]) -> list[IndexDefinition]:
    """Which global indexes are to be added. Raises: SettingsError for one that differs or cannot be added."""
    types = {
        definition["AttributeName"]: definition["AttributeType"]
        for definition in description["AttributeDefinitions"]
    }
    present = {
        index["IndexName"]: (kind, index)
        for member, kind in (("LocalSecondaryIndexes", "LOCAL"), ("GlobalSecondaryIndexes", "GLOBAL"))
        for index in description.get(member, ())
    }
    missing = []
    for index in declared.indexes:
        if index.name not in present:
            if index.kind == "LOCAL":
                raise SettingsError(
                    f"table {declared.name!r} is there without the local index {index.name!r}, and "
                    "one is made with its table only",
                    hint=f"make it a global one: Index({declared.hash_name!r}, {index.key_names[-1]!r}), "
                    "or use another --data directory",
                )
            missing.append(index)
            continue
        kind, index_description = present[index.name]
        keys = [
            (element["AttributeName"], types[element["AttributeName"]])
            for element in index_description["KeySchema"]
        ]
        projection = index_description["Projection"]
        is_so = (kind, keys, projection["ProjectionType"], sorted(projection.get("NonKeyAttributes", ())))
        wanted = (
            index.kind,
            [tuple(attribute) for attribute in index.key],
            index.projection,
            sorted(index.included),
        )
        if is_so != wanted:
            raise SettingsError(
                f"table {declared.name!r} is there with another index {index.name!r}: "
                f"{_index_words(*is_so)} instead of {_index_words(*wanted)}",
                hint="give the new one another name, or delete the old one with UpdateTable first",
            )
    return missing


def _add_indexes(engine: Engine, table: str, missing: Sequence[IndexDefinition]) -> None:
    """Add what UpdateTable adds: one at a time, filled while the application runs. Raises: SettingsError."""
    for place, index in enumerate(missing):
        for _ in islice(engine.fill_indexes(), FEW_SLICES):
            # all of it is of the commit that makes the tables: one may be in flight, and none is waited for
            # here
            pass
        projection: dict[str, Any] = {"ProjectionType": index.projection}
        if index.included:
            projection["NonKeyAttributes"] = list(index.included)
        members = {"IndexName": index.name, "KeySchema": index.key_schema(), "Projection": projection}
        try:
            engine.update_table(table, TableChange(indexes=IndexUpdates(members, types=dict(index.key))))
        except ApiError as error:
            if error.code not in ("LimitExceededException", "ResourceInUseException"):
                raise SettingsError(
                    f"table {table!r}: index {index.name!r} cannot be added: {error}"
                ) from error
            LOG.warning(
                "table %s: it is being changed, and takes one index at a time: %s at the next start",
                table,
                ", ".join(f"{index.name} is added" for index in missing[place:]),
            )
            return
        LOG.info("table %s: index %s is added, and filled while the application runs", table, index.name)


def _index_words(kind: str, keys: Sequence[Any], projection: str, included: Sequence[str]) -> str:
    held = f"{projection} {', '.join(included)}".strip()
    return f"{kind.lower()}, {_key_words(dict(keys))}, projection {held}"


def _expire(engine: Engine, table: str, attribute: str) -> None:
    """Let a table's items expire. Raises: SettingsError when they already do, by another attribute."""
    try:
        current = engine.time_to_live.describe(table).get("AttributeName")
        if current is None:
            engine.time_to_live.update(table, attribute, enabled=True)
    except ApiError as error:  # a table that is being made is asked nothing and takes no change, as on AWS
        raise SettingsError(
            f"table {table!r}: its items cannot be let expire yet: {error}",
            hint="start again in some seconds",
        ) from error
    if current not in (None, attribute):
        raise SettingsError(
            f"table {table!r} is there with the TTL attribute {current!r} instead of {attribute!r}",
            hint=f"declare app.table({table!r}, …, ttl={current!r}), or change it with UpdateTimeToLive",
        )


def _check_table(declared: TableDefinition, description: Mapping[str, Any]) -> None:
    types = {
        definition["AttributeName"]: definition["AttributeType"]
        for definition in description["AttributeDefinitions"]
    }
    keys = {element["AttributeName"]: types[element["AttributeName"]] for element in description["KeySchema"]}
    wanted = {
        element["AttributeName"]: declared.types()[element["AttributeName"]]
        for element in declared.key_schema()
    }
    if keys != wanted or next(iter(keys)) != declared.hash_name:
        raise SettingsError(
            f"table {declared.name!r} is there with another key: {_key_words(keys)} instead of "
            f"{_key_words(wanted)}",
            hint="use another --data directory, or the key that the table has",
        )
    stream = description.get("StreamSpecification", {}).get("StreamViewType")
    if declared.stream is not None and stream != declared.stream:
        raise SettingsError(
            f"table {declared.name!r} is there with "
            f"{'no stream' if stream is None else 'the stream ' + stream}, "
            f"and the app wants {declared.stream}",
            hint=f"declare app.table({declared.name!r}, …, stream={stream!r}), or change it with UpdateTable",
        )


def _key_words(keys: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({kind})" for name, kind in keys.items())
