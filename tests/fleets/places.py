"""Where a fleet keeps its state, and everything that was ever written there.

Theory of operation: the history of the state is kept beside it by the place itself, not by workers: a stream
of the table at another `tailrace serve`, a trigger in PostgreSQL. So the checkers know of every epoch and
checkpoint there was, however short it was there.
Rules of this file: rows as docs/formats/state-places.md says; keys are short, so none is cut.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from tests.fleet import Fleet
from tests.fleets.relay import Relay, Relays
from tests.postgres import PORT, PostgresServer, postgres

TABLE: Final = "kept"
HISTORY: Final = (
    "CREATE SCHEMA audit",
    "CREATE TABLE audit.history (number bigserial PRIMARY KEY, key text, fields json)",
    "CREATE FUNCTION audit.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " INSERT INTO audit.history (key, fields) VALUES (coalesce(NEW.key, OLD.key), NEW.fields);"
    " RETURN NULL; END $$",
    "CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON tailrace_state"
    " FOR EACH ROW EXECUTE FUNCTION audit.note()",
)


class RowVersion(NamedTuple):
    """A row as it was written. Shape: `fields` None: it was removed."""

    key: str
    fields: dict[str, Any] | None


class Place(Protocol):
    """A place for state, empty at first."""

    def way(self, relays: Relays, number: int) -> tuple[Relay, list[str]]:
        """A way of its own to it for a worker, and the options by which the worker takes it."""

    def rows(self, kind: str) -> dict[str, dict[str, Any]]:
        """The fields of all rows of a kind, by their keys."""

    def history(self) -> list[RowVersion]:
        """Every version of every row there was, in the order in which they were written."""


class DynamoDbPlace:
    """A table of another `tailrace serve`."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._port = int(fleet.serve("--port", "0", "--memory").announced["port"])
        fleet.state = ["--state", f"dynamodb:{TABLE}", "--state-endpoint", f"http://127.0.0.1:{self._port}"]
        fleet.create_state()
        stream = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        self._call("UpdateTable", {"TableName": TABLE, "StreamSpecification": stream})

    def _call(self, operation: str, members: dict[str, Any], service: str = "DynamoDB_20120810") -> Any:
        return self._fleet.call(operation, members, self._port, service)

    def way(self, relays: Relays, number: int) -> tuple[Relay, list[str]]:
        """A port of its own."""
        relay = relays.open(self._port)
        return relay, [
            "--state", f"dynamodb:{TABLE}", "--state-endpoint", f"http://127.0.0.1:{relay.place}",
        ]  # fmt: skip

    def rows(self, kind: str) -> dict[str, dict[str, Any]]:
        """A scan, and what of it is of the kind."""
        rows = (_row_of(item) for item in self._scan())
        return {row.key: row.fields or {} for row in rows if row.key.partition("/")[0] == kind}

    def _scan(self) -> Iterator[dict[str, Any]]:
        start: dict[str, Any] = {}
        while True:
            page = self._call("Scan", {"TableName": TABLE, "ConsistentRead": True, **start})
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def history(self) -> list[RowVersion]:
        """The stream of the table: one shard."""
        arn = self._call("DescribeTable", {"TableName": TABLE})["Table"]["LatestStreamArn"]
        streams = "DynamoDBStreams_20120810"
        shards = self._call("DescribeStream", {"StreamArn": arn}, streams)["StreamDescription"]["Shards"]
        (shard,) = shards
        begin = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator = self._call("GetShardIterator", begin, streams)["ShardIterator"]
        versions: list[RowVersion] = []
        while True:
            page = self._call("GetRecords", {"ShardIterator": iterator}, streams)
            if not page["Records"]:
                return versions
            for record in page["Records"]:
                images = record["dynamodb"]
                row = _row_of(images.get("NewImage") or images["OldImage"])
                versions.append(row if "NewImage" in images else RowVersion(row.key, None))
            iterator = page["NextShardIterator"]


def _row_of(item: dict[str, Any]) -> RowVersion:
    head, fields = item["pk"]["S"].partition("#")[0], item.get("fields")
    return RowVersion(head + item["sk"]["S"], None if fields is None else json.loads(fields["S"]))


class PostgresPlace:
    """A database of a real server."""

    def __init__(self, server: PostgresServer, fleet: Fleet) -> None:
        self._server = server
        self._database = server.database().partition("?")[0].rpartition("/")[2]
        self._directory = fleet.path
        fleet.state = ["--state", server.url(self._database)]
        fleet.create_state()
        for statement in HISTORY:
            server.execute(statement, self._database)

    def way(self, relays: Relays, number: int) -> tuple[Relay, list[str]]:
        """A socket file of its own."""
        directory = self._directory / f"pg-{number}"
        directory.mkdir()
        relay = relays.open(_socket(self._server.directory), _socket(directory))
        return relay, ["--state", self._server.url(self._database, directory)]

    def rows(self, kind: str) -> dict[str, dict[str, Any]]:
        """A question."""
        asked = f"SELECT key, fields FROM tailrace_state WHERE starts_with(key, '{kind}/')"
        return dict(self._server.execute(asked, self._database))

    def history(self) -> list[RowVersion]:
        """What the trigger has kept."""
        asked = "SELECT key, fields FROM audit.history ORDER BY number"
        return [RowVersion(key, fields) for key, fields in self._server.execute(asked, self._database)]


def _socket(directory: Path) -> Path:
    return directory / f".s.PGSQL.{PORT}"


class Places(Protocol):
    """What makes a place for each round."""

    def __call__(self, fleet: Fleet) -> Place:
        """An empty one."""


@contextmanager
def places(kind: str) -> Iterator[Places]:
    """Places of a kind, until the block ends: `dynamodb` or `postgres`."""
    if kind == "dynamodb":
        yield DynamoDbPlace
        return
    with postgres() as server:
        yield lambda fleet: PostgresPlace(server, fleet)
