"""Records a data directory with the version whose interpreter runs this: by hand, with
the old version's environment.

    OLD/.venv/bin/python tests/upgrade/record.py before-ground

Theory of operation: the old version's test world plays some days of a shop; the last thing that happens is a
crash between a recorded write and its checkpoint, in the middle of a build. What was durable then is written
into a store of files. Rules of this file: it runs under each recorded version; it looks that everything which
the upgrade must carry is really there, and fails otherwise. The same version records the same content.
"""

import copy
import gzip
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import orjson

import tailrace.sinks.destinations
from tailrace.api.lambdas.mappings import EventSourceMapping
from tailrace.api.lambdas.service import LambdaService
from tailrace.api.lambdas.settings import read_settings
from tailrace.app.function_settings import NamedFunction
from tailrace.deadletters.core.requests import Progress, RedriveRequest
from tailrace.engine import state as engine_state
from tailrace.ports import Commit, Row
from tailrace.server.remembered import remember_time
from tailrace.stores.directory import DataDirectory
from tailrace.stores.memory import MemoryStore
from tailrace.stores.sqlite import SqliteStore
from tailrace.streams.envelopes import event_id, read_log_row
from tailrace.testing import World
from tailrace.views.at_once import at_once
from tests.upgrade.shop import FUNCTION, NOTES, Post, shop

RECORDED = Path(__file__).with_name("recorded")
STATE = 1
"""The number of the table of state rows."""
BULK = 260
"""Items from before: three pages of a build."""


class Recorder:
    """A world of the old version, every change that it wrote, and the copy of what was
    durable at the crash.
    """

    def __init__(self) -> None:
        self.crash_at = 0
        self.crashed: MemoryStore | None = None
        self.changes: dict[str, dict[str, Any]] = {}
        self.hashes: dict[str, list[int]] = {}
        self.world = World(seed=11, shards=2, reached=self.reached)

    def reached(self, point: str) -> None:
        """What the world's parts pass; at the last recorded write everything stops to be recorded."""
        if point != "transaction.done" or not self.crash_at:
            return
        self.crash_at -= 1
        if not self.crash_at:
            self.crashed, self.notes = self.world._store.copy(), copy.deepcopy(NOTES)

    def start(self, version: int) -> None:
        """Run the shop with that version of its projection, and what Lambda's API has."""
        self.world._killed = []
        self.world.use(shop(NOTES, version=version))
        self.workers: list[Any] = []
        functions = {"tally": NamedFunction(*FUNCTION.split(":"))}
        self.service = LambdaService(
            self.world.engine,
            engine_state.EngineStateStore(self.world.engine, self.world._joined),
            functions,
            lambda *_: None,
            self._use,
            lambda: self.workers[0] if self.workers else None,
        )
        if version == 1:  # when it is version 2 the process crashes before that
            self.world._run(self.service.load())
            self.world._run(self.service.start())

    async def _use(self, app: Any) -> None:
        if self.workers:
            await self.workers[0].change()
        elif app.mappings:
            await self.world._start(app)
            self.workers.append(self.world._running[-1].worker)

    def map_function(self) -> None:
        """An event source mapping, as CreateEventSourceMapping makes it."""
        arn = self.world.engine.stream_of("orders").arn
        made = EventSourceMapping(
            self.service.new_uuid(arn),
            "tally",
            arn,
            "orders",
            "TRIM_HORIZON",
            True,
            read_settings({}),
            self.now_ms,
        )
        self.world._run(self.service.save(made, "Creating"))

    @property
    def now_ms(self) -> int:
        """The world's wall clock."""
        return self.world.clock.now().wall_ms

    def put(self, key: str, total: int) -> None:
        """An order, placed now."""
        country = ("NL", "DE", "BE")[total % 3]
        self.world.put(
            "orders", {"id": key, "total": total, "country": country, "placed": self.now_ms // 1_000}
        )

    def collect(self) -> None:
        """Note every change that is in the log now."""
        places = {}
        for stream in self.streams():
            for shard in self.world.engine.shards_of(stream):
                places[shard.number] = stream.split("/")[-1]
                self.hashes[shard.shard_id] = [shard.first, shard.last]
        for number, log in self.world._store._log.items():
            for row in log:
                record = read_log_row(row.shard, row.sequence, row.header, row.old, row.new)
                label = places[number]
                item = orjson.loads(record.new)
                self.changes[event_id(record)] = {
                    "event_id": event_id(record), "number": record.sequence_number.wire, "label": label,
                    "partition": record.partition,
                    "key": item["id"]["S"], "country": item["country"]["S"], "total": int(item["total"]["N"]),
                    "placed": int(item["placed"]["N"]), "created_ms": record.created_ms,
                }  # fmt: skip

    def streams(self) -> list[str]:
        """The ARNs of every stream of the table that can be read."""
        streams = self.world.client("dynamodbstreams").list_streams(TableName="orders")["Streams"]
        return [stream["StreamArn"] for stream in streams]

    def switch(self, *, on: bool) -> None:
        """Switch the stream of the table."""
        view = {"StreamViewType": "NEW_AND_OLD_IMAGES"} if on else {}
        self.world.client("dynamodb").update_table(
            TableName="orders", StreamSpecification={"StreamEnabled": on, **view}
        )
        self.world.advance("1s")


def play(recorder: Recorder, quiet: str) -> None:
    """Some days of a shop. Shape: `quiet` is how long what a paused handler has not handled waits."""
    world = recorder.world
    recorder.start(version=1)
    for number in range(BULK):
        recorder.put(f"b{number}", number)
    world.advance("2m")
    NOTES.broken = {"charge": {"o3", "o7"}, "lane": {"o5", "o6"}, "mail": {f"o{n}" for n in range(8)}}
    for number in range(10):
        recorder.put(f"o{number}", number)
    world.advance("30s")
    world.split("orders")
    for again in range(1, 4):
        for key in ("o3", "o7", "o1"):
            recorder.put(key, 100 * again)
        world.advance("5s")
    world.advance("10m")
    recorder.collect()
    # No process runs for more than a day: a gap.
    world.kill()
    for number in range(3):
        recorder.put(f"gone{number}", number)
    recorder.collect()
    world.advance("25h")
    recorder.start(version=1)
    world.advance("20m")
    # Paused, and the stream is off and on: unread changes in two streams.
    world._ask("pause", {"handler": "late"})
    for number in range(6):
        recorder.put(f"p{number}", number)
    world.advance("1m")
    recorder.switch(on=False)
    world.put("orders", {"id": "unseen", "total": 1, "country": "NL", "placed": 0})
    recorder.switch(on=True)
    recorder.map_function()
    for number in range(6):
        recorder.put(f"p{number}", 10 + number)
    world.advance(quiet)
    for number in range(4):
        recorder.put(f"q{number}", number)
    world.advance("2m")
    world.split("orders")
    # The post is closed: notices wait.
    NOTES.unreachable = True
    NOTES.broken["mail"] |= {"r1", "r2"}
    NOTES.broken["charge"] |= {"r4"}
    for number in range(6):
        recorder.put(f"r{number}", number)
    world.advance("1m")
    recorder.put("r4", 200)
    world.advance("10s")
    recorder.collect()
    # A redrive is under way when everything ends.
    NOTES.broken["mail"] -= {"o1", "o2"}
    worker = world._running[0].worker
    world._run(asked(worker, RedriveRequest("asked-1", "mail", rate="1/m")))
    world.advance("70s")
    world.kill()
    for number in range(12):
        recorder.put(f"n{number}", number)
    recorder.put("o3", 500)
    recorder.put("q1", 500)
    recorder.collect()
    at_once(remember_time(engine_state.state_of(world.engine), world.clock))
    world.engine.committer.flush()
    recorder.crash_at = 4
    recorder.start(version=2)
    world.advance(0)


async def asked(worker: Any, request: RedriveRequest) -> None:
    """Begin a redrive, as the verb does: noted, then carried out."""
    await (worker.redrives.redriver if hasattr(worker, "redrives") else worker.redriver).note(request)
    worker.redrive(request, Progress())


def state_of(store: MemoryStore) -> dict[str, Any]:
    """Every state row."""
    return {key.decode(): orjson.loads(value) for key, value in store._rows[STATE].items()}


def missing(rows: dict[str, Any], *, evacuates: bool) -> list[str]:
    """What the recording should hold and does not."""

    def some(prefix: str, holds: Any = lambda row: True) -> bool:
        return any(key.startswith(prefix) and holds(row) for key, row in rows.items())

    marks = {
        key.split("/")[-1]: row["sequence"] for key, row in rows.items() if key.startswith("mark/shop.ship/")
    }
    ships = [row["watermark"] for key, row in rows.items() if key.startswith("checkpoint/shop/ship/")]
    wanted = {
        "a parked key with successors": some("head/shop/charge/", lambda row: row["count"] > 1),
        "dead letters": some("deadletter/shop/mail/"),
        "dead letters of a lane": some("deadletter/shop/lane/"),
        "an open window": some("window"),
        "a tumbling window": some("checkpoint/shop/tumble/", lambda row: row.get("window")),
        "a build in progress": some("projection-build/shop/sales/", lambda row: not row["is_filled"]),
        "a build that is served": some("projection/shop/sales", lambda row: row["served"]),
        "a mark that no checkpoint covers": max(marks.values()) > max(ships),
        "a gap": some("gap/") or some("ledger/", lambda row: row["totals"].get("trimmed") is not None),
        "a redrive": some("redrive/shop/"),
        "a paused handler": some("pause/shop/late"),
        "a notice": some("outbox/shop/mail/"),
        "a mapping of Lambda's API": some("esm/"),
        "evacuated changes": some("evacuated/shop/late/") or not evacuates,
        "two streams": len({key.split("/")[3] for key in rows if key.startswith("checkpoint/shop/ship/")})
        > 1,
    }
    return [words for words, is_there in wanted.items() if not is_there]


def write(recorder: Recorder, name: str) -> None:
    """The store and what is known of it, as files."""
    store = recorder.crashed
    assert store is not None
    with tempfile.TemporaryDirectory() as place:
        directory = DataDirectory(Path(place))
        files = SqliteStore(directory.database, sync="normal")
        rows = [
            Row(table, key, value)
            for table, values in store._rows.items()
            for key, value in sorted(values.items())
        ]
        log = [row for shard in sorted(store._log) for row in store._log[shard]]
        files.commit(Commit(rows, log))
        files.close()
        layout = (Path(place) / "format").read_text()
        database = Path(directory.database).read_bytes()
        directory.close()
    known = {
        "format": layout, "wall_ms": recorder.now_ms, "hashes": recorder.hashes,
        "changes": sorted(recorder.changes.values(), key=lambda change: change["number"]),
        "handled": recorder.notes.handled,
        "broken": {handler: sorted(keys) for handler, keys in recorder.notes.broken.items()},
        "windows": recorder.notes.windows, "tumbled": recorder.notes.tumbled,
        "told": len(recorder.notes.told),
    }  # fmt: skip
    for file, content in (("db", database), ("json", json.dumps(known, indent=1).encode())):
        packed = gzip.compress(content, mtime=0)
        (RECORDED / f"{name}.{file}.gz").write_bytes(packed)
        print(name, file, len(content), len(packed))


def main(name: str) -> None:
    """Record. Raises: SystemExit for what is missing."""
    tailrace.sinks.destinations.destination_of = lambda arn, *_: Post(NOTES)
    evacuates = name == "before-ground"
    recorder = Recorder()
    play(recorder, "23h" if evacuates else "1h")
    assert recorder.crashed is not None, "the crash never came"
    lacking = missing(state_of(recorder.crashed), evacuates=evacuates)
    RECORDED.mkdir(exist_ok=True)
    write(recorder, name)
    raise SystemExit(f"missing: {lacking}" if lacking else 0)


if __name__ == "__main__":
    main(sys.argv[1])
