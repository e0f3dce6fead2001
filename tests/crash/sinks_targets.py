"""The targets of tests/crash/sinks.py: servers that end and come back, and what any reader finds in each.

Theory of operation: what is shown is read with the target's own client (psycopg, duckdb, opensearch-py,
pyarrow) and put side by side with the table's items as boto3 reads them; nothing of tailrace decides what is
equal. Of a lake it says alone which files there are.
Rules of this file: a target is made once, and empty for each round. Servers are on loopback or a socket, and
are stopped by id.
"""

import json
import logging
import os
import signal
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from decimal import Context, Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import boto3
import duckdb
import psycopg
import pyarrow.parquet as parquet
from boto3.dynamodb.types import Binary, TypeDeserializer
from opensearchpy import OpenSearch
from psycopg.types.json import set_json_loads

from tailrace import sinks
from tailrace.testing.search import SearchServer
from tests.fleet import ENVIRONMENT
from tests.patience import PATIENCE_S
from tests.postgres import PostgresServer
from tests.redshift import Warehouse, data_api
from tests.unit.sinks.moto_server import client, moto

Shown = Mapping[str, Mapping[str, Any]]
"""id → attributes."""
EXACT: Final = Context(prec=200)
loads = partial(json.loads, parse_float=EXACT.create_decimal, parse_int=EXACT.create_decimal)
PRIVATE: Final = "\ue000"
"""No text of the client has it."""
CHANGES: Final = "SELECT sum(changes) FROM tailrace_positions WHERE name = 'items'"


class Target(Protocol):
    """Where a sink writes. Shape: `place` as the application is told it."""

    place: str
    has_server: bool

    def empty(self, directory: Path) -> None:
        """Begin a round, whose files are in a directory."""

    def shown(self) -> Shown:
        """What a reader finds, once nothing writes."""

    def changes(self) -> int | None:
        """How many of the source's changes it has counted; None: it keeps no count."""

    def down(self) -> None:
        """End the server, at once."""

    def up(self) -> None:
        """Begin it again with what it keeps."""


class Postgres:
    """A database a round."""

    has_server = True

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.place = ""

    def empty(self, directory: Path) -> None:
        """As Target."""
        self.place = self.server.database()

    def shown(self) -> Shown:
        """As Target."""
        with psycopg.connect(self.place) as connection:
            set_json_loads(loads, connection)
            cursor = connection.execute("SELECT * FROM items")
            names = [column.name for column in cursor.description or ()]
            return by_id([attributes(names, row, with_nul) for row in cursor])

    def changes(self) -> int | None:
        """As Target."""
        with psycopg.connect(self.place) as connection:
            row = connection.execute(CHANGES).fetchone()
            return None if row is None else int(row[0] or 0)

    def down(self) -> None:
        """Without a word to anybody: it recovers from its log when it comes back."""
        self.server.process.send_signal(signal.SIGQUIT)
        self.server.process.wait(PATIENCE_S)
        self.server.log.close()

    def up(self) -> None:
        """As Target."""
        self.server.start()


class Redshift:
    """The stand-in for Redshift, behind the Data API's: a schema a round, and a bucket for what is staged."""

    has_server = False

    def __init__(self, server: PostgresServer) -> None:
        logging.getLogger("werkzeug").setLevel(logging.WARNING)  # moto tells every request
        self._ends = ExitStack()
        self._number = 0
        self.place = ""
        self._warehouse = Warehouse(server)
        api = self._ends.enter_context(data_api(self._warehouse))
        access = self._ends.enter_context(moto())
        client("s3", access).create_bucket(Bucket="staging")
        os.environ["AWS_ENDPOINT_URL_S3"] = str(access.endpoint_url)
        os.environ["AWS_ENDPOINT_URL_REDSHIFT_DATA"] = api.url

    def empty(self, directory: Path) -> None:
        """As Target."""
        self._number += 1
        self.place = f"round_{self._number}"
        with psycopg.connect(self._warehouse.url, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {self.place}".encode())

    def shown(self) -> Shown:
        """As Target."""
        with psycopg.connect(self._warehouse.url) as connection:
            set_json_loads(loads, connection)
            cursor = connection.execute(f"SELECT * FROM {self.place}.items".encode())
            names = [column.name for column in cursor.description or ()]
            return by_id([attributes(names, row, with_nul) for row in cursor])

    def changes(self) -> int | None:
        """As Target."""
        ((counted,),) = self._warehouse.ask(CHANGES, self.place)
        return int(counted or 0)

    def down(self) -> None:
        """As Target."""
        self._ends.close()
        for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_REDSHIFT_DATA"):
            os.environ.pop(name, None)

    def up(self) -> None:
        """As Target."""
        raise AssertionError("the stand-in does not come back")


class Files:
    """What has files alone."""

    has_server = False
    place = ""

    def empty(self, directory: Path) -> None:
        """As Target."""
        self.place = str(directory / type(self).__name__)

    def changes(self) -> int | None:
        """As Target."""
        return None

    def down(self) -> None:
        """As Target."""
        raise AssertionError("files have no server")

    def up(self) -> None:
        """As Target."""
        self.down()


class DuckDb(Files):
    """A file."""

    def shown(self) -> Shown:
        """As Target."""
        with duckdb.connect(self.place, read_only=True) as file:
            rows = file.execute("SELECT * FROM items")
            types = [str(column[1]) for column in rows.description or ()]
            names = [column[0] for column in rows.description or ()]
            return by_id([attributes(names, of_json(row, types)) for row in rows.fetchall()])

    def changes(self) -> int | None:
        """As Target."""
        with duckdb.connect(self.place, read_only=True) as file:
            row = file.execute(CHANGES).fetchone()
            return None if row is None else int(row[0] or 0)


class Lake(Files):
    """The newest row of each item."""

    def shown(self) -> Shown:
        """As Target."""
        rows = newest(self._rows())
        return by_id([attributes(list(row), list(row.values()), InParquet) for row in rows])

    def _rows(self) -> list[dict[str, Any]]:
        files = self._declared().files()
        return [row for file in files for row in parquet.ParquetFile(file).read().to_pylist()]

    def _declared(self) -> sinks.ParquetLake | sinks.ParquetLog:
        return sinks.ParquetLake(self.place, "items", buckets=2)


class Log(Lake):
    """A row for each change."""

    def _declared(self) -> sinks.ParquetLake | sinks.ParquetLog:
        return sinks.ParquetLog(self.place, "items")

    def changes(self) -> int | None:
        """As Target; a change that is there twice counts twice."""
        return sum(row["tailrace_op"] != "r" for row in self._rows())


class Search:
    """A cluster in memory, behind a port that comes back."""

    has_server = True

    def __init__(self) -> None:
        self._server = SearchServer().start()
        self.place = self._server.url

    def empty(self, directory: Path) -> None:
        """As Target."""
        cluster = self._server.cluster
        for name in list(cluster.indices):
            cluster.delete_index(name)

    def shown(self) -> Shown:
        """As Target."""
        reader = OpenSearch(self.place)
        reader.indices.refresh(index="items")
        hits = reader.search(index="items", body={"size": 10_000})["hits"]["hits"]
        return by_id([document(hit["_source"]) for hit in hits])

    def changes(self) -> int | None:
        """As Target."""
        return None

    def down(self) -> None:
        """As Target."""
        self._server.stop()

    def up(self) -> None:
        """As Target."""
        self._server = SearchServer(self._server.cluster, port=self._server.port).start()


class InParquet(str):
    """A text of a Parquet file: it does not say whether it is JSON."""

    __slots__ = ()


# ---- what is shown -----------------------------------------------------------------------------------------


def attributes(names: list[str], values: Any, text: Any = str) -> dict[str, Any]:
    """The item that a row shows. Shape: `text` takes a text as it stands there."""
    shown = dict(zip(names, values, strict=True))
    extra = shown.pop("_extra", None)
    item = {
        name: plain(value, text)
        for name, value in shown.items()
        if value is not None and not name.startswith("tailrace_")
    }
    if extra is not None:
        members = json.loads(extra) if isinstance(extra, str) else plain(extra, text)
        item.update({name: plain(deserialized(value), str) for name, value in members.items()})
    return item


def deserialized(value: Any) -> Any:
    """A value of DynamoDB JSON."""
    (kind, content), *_ = value.items()
    if kind == "B":
        return b64decode(content)
    if kind == "M":
        return {name: deserialized(inside) for name, inside in content.items()}
    if kind == "L":
        return [deserialized(inside) for inside in content]
    return EXACT.create_decimal(content) if kind == "N" else TypeDeserializer().deserialize(value)


def plain(value: Any, text: Any = str) -> Any:
    """A value in the types of Python, without regard to how exactly a target names them."""
    match value:
        case bool():
            return value
        case int() | float() | Decimal():
            return EXACT.create_decimal(str(value))
        case Binary():
            return bytes(value)
        case bytes() | memoryview():
            return bytes(value)
        case str():
            return text(value)
        case dict():
            return {text(name): plain(inside, text) for name, inside in value.items()}
        case list():
            return [plain(inside, text) for inside in value]
    return value


def with_nul(text: str) -> str:
    """What stands for U+0000 in PostgreSQL, taken back."""
    kept = text.replace("\u2400\u2400", PRIVATE).replace("\u24000", "\0")
    return kept.replace(PRIVATE, "\u2400")


def of_json(row: Any, types: list[str]) -> list[Any]:
    """A row of DuckDB, whose JSON comes as text."""
    return [
        loads(value) if kind == "JSON" and value is not None else value
        for value, kind in zip(row, types, strict=True)
    ]


def newest(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Of each key the row with the largest version, unless that is a deletion."""
    by_key: dict[bytes, dict[str, Any]] = {}
    for row in rows:
        there = by_key.get(row["tailrace_key"])
        if there is None or row["tailrace_version"] > there["tailrace_version"]:
            by_key[row["tailrace_key"]] = row
    return (row for row in by_key.values() if row["tailrace_op"] != "d")


def document(source: dict[str, Any]) -> dict[str, Any]:
    """The item that a document shows: `_extra` has places inside it, and the values there."""
    members = {name: value for name, value in source.items() if not name.startswith(("tailrace_", "_"))}
    for misfit in source.get("_extra", ()):
        *above, last = [
            part.replace("~1", "/").replace("~0", "~") for part in misfit["pointer"].split("/")[1:]
        ]
        inside = members
        for part in above:
            inside = inside.setdefault(part, {})
        inside[last] = deserialized(json.loads(misfit["value"]))
    return {name: plain(value) for name, value in members.items()}


def by_id(items: list[dict[str, Any]]) -> Shown:
    """Items by their ids; an item that is there twice is told."""
    shown = {item["id"]: item for item in items}
    assert len(shown) == len(items), f"{len(items)} rows of {len(shown)} items"
    return shown


def table_items(port: int) -> Shown:
    """The items of the table, as boto3 reads them."""
    client = boto3.client(
        "dynamodb",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name=ENVIRONMENT["AWS_DEFAULT_REGION"],
        aws_access_key_id=ENVIRONMENT["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
    )
    pages = client.get_paginator("scan").paginate(TableName="items", ConsistentRead=True)
    scanned = [item for page in pages for item in page["Items"]]
    return by_id([{name: plain(taken(value)) for name, value in item.items()} for item in scanned])


def taken(value: Any) -> Any:
    """A value as boto3's client has it."""
    (kind, content), *_ = value.items()
    match kind:
        case "N":
            return EXACT.create_decimal(content)
        case "M":
            return {name: taken(inside) for name, inside in content.items()}
        case "L":
            return [taken(inside) for inside in content]
    return content


def same(shown: Any, wanted: Any) -> bool:
    """Whether a value is the table's: a target may show a number as its digits, and a binary as base64."""
    if isinstance(shown, InParquet):
        return same(str(shown), wanted) or (is_json(shown) and same(plain(loads(shown)), wanted))
    match wanted:
        case Decimal():
            return not isinstance(shown, bool) and number(shown) == wanted
        case bytes():
            return shown in (wanted, b64encode(wanted).decode())
        case dict():
            return (
                isinstance(shown, dict)
                and shown.keys() == wanted.keys()
                and all(same(shown[name], wanted[name]) for name in wanted)
            )
        case list():
            return isinstance(shown, list) and len(shown) == len(wanted) and all(map(same, shown, wanted))
    return type(shown) is type(wanted) and bool(shown == wanted)


def number(shown: Any) -> Decimal | None:
    """A number, or its digits."""
    try:
        return EXACT.create_decimal(shown)
    except (ArithmeticError, TypeError, ValueError):
        return None


def is_json(text: str) -> bool:
    """Whether a text can be read as JSON."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def differences(shown: Shown, wanted: Shown) -> list[str]:
    """What a target has that the table has not, and the other way around, a sentence an item."""
    return [
        f"{key}: {shown.get(key)} instead of {wanted.get(key)}"
        for key in sorted({*shown, *wanted})
        if not same(shown.get(key), wanted.get(key))
    ]


@contextmanager
def targets(kinds: tuple[str, ...], postgres: PostgresServer | None) -> Iterator[dict[str, Target]]:
    """A target of each kind, until the block ends."""
    made: dict[str, Target] = {}
    for kind in kinds:
        match kind:
            case "postgres":
                assert postgres is not None
                made[kind] = Postgres(postgres)
            case "redshift":
                assert postgres is not None
                made[kind] = Redshift(postgres)
            case "duckdb":
                made[kind] = DuckDb()
            case "search":
                made[kind] = Search()
            case "lake":
                made[kind] = Lake()
            case _:
                made[kind] = Log()
    try:
        yield made
    finally:
        for kind in {"search", "redshift"} & made.keys():
            made[kind].down()
