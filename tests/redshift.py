"""A stand-in for Redshift, for no server of it can be had: statements run in a real PostgreSQL, which has
MERGE.

Theory of operation: each statement is first checked against the forms that Redshift documents
(redshift_grammar.py), then translated, and that is all that is translated:

- `COPY … FROM 's3://…'` reads the staged objects from S3 (moto's), as Parquet or JSON lines, and their rows
go in
  by PostgreSQL's COPY FROM STDIN. A Parquet file must have the table's columns, in number, order and type; a
  VARCHAR has its bytes counted, as Redshift does and PostgreSQL does not.
- Types: SUPER is jsonb, VARBYTE is bytea. DISTKEY and SORTKEY are left out.
- Functions made in the database: JSON_PARSE, FROM_HEX, TO_HEX of bytes, FROM_VARBYTE.
- Views made in the database: svv_columns, svv_relation_privileges.
- GRANT … TO ROLE and TO GROUP: without these words.
- What a SELECT answers for SUPER is its text.

The Data API's stand-in is an HTTP server on loopback that obeys its documented protocol over the same
database: a statement or a list runs in a session of its own, as one transaction; a client token is answered
once; states go from SUBMITTED over STARTED to the end; results come in pages.
Rules of this file: what it does not know, it refuses.
"""

import gzip
import io
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg
import pyarrow.parquet as pq
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from psycopg import sql
from psycopg.types.string import TextLoader

from tailrace.aws.places import KNOWN
from tailrace.sinks import RedshiftDataApi
from tailrace.sinks.aws import AwsAccess
from tests.postgres import PostgresServer, postgres
from tests.redshift_grammar import command_of
from tests.unit.sinks.moto_server import client, moto

PREPARED: Final = """
CREATE FUNCTION json_parse(text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS 'SELECT $1::jsonb';
CREATE FUNCTION from_hex(text) RETURNS bytea LANGUAGE sql IMMUTABLE AS 'SELECT decode($1, ''hex'')';
CREATE FUNCTION to_hex(bytea) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT encode($1, ''hex'')';
CREATE FUNCTION from_varbyte(bytea, text) RETURNS text LANGUAGE sql IMMUTABLE
    AS 'SELECT convert_from($1, $2)';
CREATE VIEW svv_columns AS SELECT table_schema::text, table_name::text, column_name::text, data_type::text,
    ordinal_position FROM information_schema.columns;
CREATE VIEW svv_relation_privileges AS SELECT table_schema::text AS namespace_name, table_name::text AS
    relation_name, privilege_type::text, grantee::text AS identity_name,
    CASE WHEN grantee = 'PUBLIC' THEN 'public' ELSE 'user' END AS identity_type
    FROM information_schema.table_privileges;
"""
COPYING: Final = re.compile(r"COPY (\w+) FROM 's3://([^/]+)/([^']+)' IAM_ROLE .* FORMAT AS (PARQUET|JSON)")
VARCHAR: Final = re.compile(r"character varying\((\d+)\)")
PARQUET_TYPES: Final = {
    "bigint": "int64", "boolean": "bool", "character varying": "string", "numeric": "decimal128",
}  # fmt: skip
NULL_AS: Final = "␀N"


class Warehouse:
    """A database that stands in for a warehouse."""

    def __init__(self, server: PostgresServer) -> None:
        self.url = server.database()
        self.commands: list[str] = []
        self.statements: list[str] = []
        self._schemas = 0
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(PREPARED.encode())

    def ask(self, statement: str, schema: str = "public") -> list[tuple[Any, ...]]:
        """What somebody else sees, who is no sink."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL("SET search_path = {}, public").format(sql.Identifier(schema)))
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def translated(self, statement: str) -> str:
        """PostgreSQL's words for a statement that is no COPY."""
        self.commands.append(command := command_of(statement))
        self.statements.append(statement)
        if command.startswith(("CREATE T", "ALTER TABLE ADD")):
            statement = re.sub(r" DISTKEY \([^)]*\)| SORTKEY \([^)]*\)", "", statement)
            statement = re.sub(r"VARBYTE\(\d+\)", "bytea", statement).replace(" SUPER", " jsonb")
        if command == "GRANT":
            statement = statement.replace(" ROLE ", " ").replace(" GROUP ", " ")
        return statement

    def schema(self) -> str:
        """A new schema."""
        self._schemas += 1
        name = f"s{self._schemas}"
        self.ask(f"CREATE SCHEMA {name}")
        return name

    def staged(self, prefix: str = "tailrace") -> list[str]:
        """Names of staged files."""
        return sorted(key for key in self._s3(BUCKET) if key.startswith(f"{prefix}/"))

    def _s3(self, bucket: str) -> Mapping[str, Any]:
        """What is staged, by key."""
        # Their own `items` has the objects; dict(keys) would have lists of versions.
        return dict(s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[bucket].keys.items())

    def copied(self, statement: str, columns: Sequence[tuple[str, str]]) -> list[list[Any]]:
        """The rows that a COPY loads into a table with these columns (names, types)."""
        self.commands.append(command_of(statement))
        self.statements.append(statement)
        match = COPYING.match(statement)
        assert match is not None, statement
        bucket, prefix, form = match[2], match[3], match[4]
        # What moto keeps, without asking it over HTTP.
        there = {key: kept for key, kept in self._s3(bucket).items() if key.startswith(prefix)}
        if not there:
            raise psycopg.errors.InternalError_(f"The specified S3 prefix '{prefix}' does not exist")
        rows: list[list[Any]] = []
        for kept in there.values():
            data = kept.value
            rows += _parquet(data, columns) if form == "PARQUET" else _json(data, columns)
        for row in rows:
            for (name, type_), value in zip(columns, row, strict=True):
                limit = VARCHAR.fullmatch(type_)
                if limit and value is not None and len(value.encode()) > int(limit[1]):
                    raise psycopg.errors.InternalError_(
                        f"Load into table failed: {name} is too long.  Check 'stl_load_errors' system table"
                    )
        return rows


def _parquet(data: bytes, columns: Sequence[tuple[str, str]]) -> list[list[Any]]:
    table = pq.read_table(io.BytesIO(data))
    assert table.num_columns == len(columns), "the number of columns differs"
    for column, (name, type_) in zip(table.schema, columns, strict=True):
        wanted = PARQUET_TYPES[type_.partition("(")[0]]
        assert str(column.type).startswith(wanted), f"{name}: {column.type} is no {type_}"
        if wanted == "decimal128":
            assert f"({column.type.precision},{column.type.scale})" == type_.removeprefix("numeric"), name
    return [list(row) for row in zip(*(column.to_pylist() for column in table.columns), strict=True)]


class _Digits(str):
    """A number of JSON as it stands there."""


def _json(data: bytes, columns: Sequence[tuple[str, str]]) -> list[list[Any]]:
    rows = []
    for line in gzip.decompress(data).splitlines():
        read = json.loads(line, parse_float=_Digits, parse_int=_Digits)
        values = [read.get(name) for name, _ in columns]
        rows.append([_of_json(value, type_) for value, (_, type_) in zip(values, columns, strict=True)])
    return rows


def _of_json(value: Any, type_: str) -> Any:
    if type_ == "jsonb":
        return None if value is None else _dumped(value)
    assert not isinstance(value, list | dict), value
    return None if value == NULL_AS else value


def _dumped(value: Any) -> str:
    match value:
        case _Digits():
            return str(value)
        case dict():
            return "{" + ",".join(f"{json.dumps(name)}:{_dumped(one)}" for name, one in value.items()) + "}"
        case list():
            return "[" + ",".join(map(_dumped, value)) + "]"
    return json.dumps(value)


OF_TABLE: Final = (
    "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = to_regclass('{}') "
    "AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
)


# ---- PostgreSQL's protocol ---------------------------------------------------------------------------------


class StandInConnection:
    """What a door has instead of a connection to Redshift."""

    def __init__(self, warehouse: Warehouse, connection: "psycopg.AsyncConnection[Any]") -> None:
        self._warehouse = warehouse
        self._connection = connection
        connection.adapters.register_loader("jsonb", TextLoader)

    async def execute(self, statement: bytes) -> Any:
        """One statement of Redshift's."""
        text = statement.decode()
        if not text.startswith("COPY"):
            return await self._connection.execute(self._warehouse.translated(text).encode())
        table = text.split()[1]
        cursor = await self._connection.execute(OF_TABLE.format(table).encode())
        rows = self._warehouse.copied(text, await cursor.fetchall())
        cursor = self._connection.cursor()
        async with cursor.copy(f"COPY {table} FROM STDIN".encode()) as copy:
            for row in rows:
                await copy.write_row(row)
        return cursor

    async def close(self) -> None:
        """End it."""
        await self._connection.close()


def connecting(warehouse: Warehouse) -> Callable[[str], Any]:
    """What stands in for `tailrace.postgresql.connected`."""

    async def connected(url: str) -> StandInConnection:
        return StandInConnection(warehouse, await psycopg.AsyncConnection.connect(url, autocommit=True))

    return connected


# ---- the Data API ------------------------------------------------------------------------------------------

TARGET: Final = "RedshiftData."
LOOKS: Final = ("SUBMITTED", "STARTED")
ROWS_OF_PAGE: Final = 3
PARAMETERS: Final = frozenset(
    ("Database", "WorkgroupName", "ClusterIdentifier", "DbUser", "SecretArn", "ClientToken", "Sql", "Sqls")
)


class Refusal(Exception):
    """An answer that says no, by its AWS name."""


class DataApi:
    """The service. Shape: `looks`: so many looks at a statement say that it runs still."""

    def __init__(self, warehouse: Warehouse, url: str) -> None:
        self.warehouse = warehouse
        self.url = url
        self.looks = 0
        self.calls: list[str] = []
        self._statements: dict[str, dict[str, Any]] = {}
        self._tokens: dict[str, str] = {}
        self._lock = threading.Lock()
        self._session = self._connected()

    def _connected(self) -> "psycopg.Connection[Any]":
        session = psycopg.connect(self.warehouse.url, autocommit=True)
        session.adapters.register_loader("jsonb", TextLoader)
        return session

    def close(self) -> None:
        """Give its session back."""
        self._session.close()

    def answer(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """One call."""
        self.calls.append(operation)
        match operation:
            case "ExecuteStatement":
                if ";" in re.sub(r"'[^']*'|\"[^\"]*\"", "", parameters["Sql"]):
                    raise Refusal("ValidationException")
                return self._begun(parameters, [parameters["Sql"]])
            case "BatchExecuteStatement":
                if not 1 <= len(parameters["Sqls"]) <= 40:
                    raise Refusal("ValidationException")
                return self._begun(parameters, parameters["Sqls"])
            case "DescribeStatement":
                return self._described(self._statement(parameters))
            case "GetStatementResult":
                return self._page(self._statement(parameters), parameters.get("NextToken"))
        raise Refusal("UnknownOperationException")

    def _statement(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        if parameters["Id"] not in self._statements:
            raise Refusal("ResourceNotFoundException")
        return self._statements[parameters["Id"]]

    def _begun(self, parameters: Mapping[str, Any], statements: Sequence[str]) -> dict[str, Any]:
        if not parameters.keys() <= PARAMETERS or not parameters.get("Database"):
            raise Refusal("ValidationException")
        if any(len(statement.encode()) > 100_000 for statement in statements):
            raise Refusal("ValidationException")
        token = parameters["ClientToken"]
        with self._lock:
            if token not in self._tokens:
                self._tokens[token] = id_ = str(uuid4())
                self._statements[id_] = {"Id": id_, "left": self.looks, **self._run(statements)}
            return {"Id": self._tokens[token], "CreatedAt": 0, "Database": parameters["Database"]}

    def _run(self, statements: Sequence[str]) -> dict[str, Any]:
        """All of them in one transaction."""
        done: list[dict[str, Any]] = []
        rows: list[tuple[Any, ...]] = []
        types: list[str] = []
        try:
            if self._session.closed:  # the database was started anew
                self._session = self._connected()
            self._session.execute(b"DISCARD TEMP")  # as a new session
            with self._session.transaction():
                for statement in statements:
                    rows, types = self._one(self._session, statement)
                    done.append({"Status": "FINISHED"})
        except psycopg.Error as error:
            said = " ".join(str(error).split())
            left = len(statements) - len(done) - 1
            parts = [*done, {"Status": "FAILED", "Error": said}, *[{"Status": "ABORTED"}] * left]
            return {"Status": "FAILED", "Error": f"ERROR: {said}", "SubStatements": parts}
        return {"Status": "FINISHED", "SubStatements": done, "rows": rows, "types": types}

    def _one(
        self, connection: "psycopg.Connection[Any]", statement: str
    ) -> tuple[list[tuple[Any, ...]], list[str]]:
        if not statement.startswith("COPY"):
            cursor = connection.execute(self.warehouse.translated(statement).encode())
            return (cursor.fetchall(), [""]) if cursor.description else ([], [])
        table = statement.split()[1]
        columns = connection.execute(OF_TABLE.format(table).encode()).fetchall()
        rows = self.warehouse.copied(statement, columns)
        with connection.cursor().copy(f"COPY {table} FROM STDIN".encode()) as copy:
            for row in rows:
                copy.write_row(row)
        return [], []

    def _described(self, statement: dict[str, Any]) -> dict[str, Any]:
        if statement["left"]:
            statement["left"] -= 1
            return {"Id": statement["Id"], "Status": LOOKS[statement["left"] % 2]}
        told = {name: statement.get(name) for name in ("Id", "Status", "Error", "SubStatements")}
        return {**told, "HasResultSet": bool(statement.get("types"))}

    def _page(self, statement: dict[str, Any], token: str | None) -> dict[str, Any]:
        if statement["left"] or not statement.get("types"):
            raise Refusal("ResourceNotFoundException")
        first = int(token or 0)
        rows = statement["rows"][first : first + ROWS_OF_PAGE]
        page: dict[str, Any] = {"Records": [[_field(value) for value in row] for row in rows]}
        if first + ROWS_OF_PAGE < len(statement["rows"]):
            page["NextToken"] = str(first + ROWS_OF_PAGE)
        return {**page, "TotalNumRows": len(statement["rows"]), "ColumnMetadata": []}


def _field(value: Any) -> dict[str, Any]:
    match value:
        case None:
            return {"isNull": True}
        case bool():
            return {"booleanValue": value}
        case int():
            return {"longValue": value}
        case str() | UUID():
            return {"stringValue": str(value)}
    raise AssertionError(f"the Data API has no field for {value!r}")


@contextmanager
def data_api(warehouse: Warehouse) -> Iterator[DataApi]:
    """The service on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        """Head and body in one packet: else the peer waits for what follows."""

        def do_POST(self) -> None:
            """One call of JSON 1.1."""
            target = self.headers["X-Amz-Target"]
            parameters = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                assert target.startswith(TARGET), target
                assert "AWS4-HMAC-SHA256" in self.headers["Authorization"]
                status, body = 200, api.answer(target.removeprefix(TARGET), parameters)
            except Refusal as refusal:
                status, body = 400, {"__type": str(refusal), "message": f"{refusal}"}
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Nothing is told."""

    api = DataApi(warehouse, "")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        api.url = f"http://127.0.0.1:{server.server_port}"
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        api.close()


# ---- all of it ---------------------------------------------------------------------------------------------

BUCKET: Final = "staging"
ROLE: Final = "arn:aws:iam::123456789012:role/copies"
API: Final = RedshiftDataApi("dev", workgroup="analytics")


@contextmanager
def stand_in() -> Iterator[tuple[Warehouse, DataApi]]:
    """A warehouse and its Data API, a bucket, and the environment that leads to them."""
    with pytest.MonkeyPatch.context() as patch, postgres() as server, moto() as access:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        KNOWN.forget(None)
        client("s3", access).create_bucket(Bucket=BUCKET)
        warehouse = Warehouse(server)
        with data_api(warehouse) as api:
            patch.setenv("AWS_ENDPOINT_URL_S3", str(access.endpoint_url))
            patch.setenv("AWS_ENDPOINT_URL_REDSHIFT_DATA", api.url)
            patch.setattr("tailrace.postgresql.connected", connecting(warehouse))
            yield warehouse, api
    KNOWN.forget(None)


def options(prefix: str = "tailrace") -> dict[str, Any]:
    """What every sink of these tests is made with."""
    return {"staging": f"s3://{BUCKET}/{prefix}", "role": ROLE, "access": AwsAccess(region="us-east-1")}
