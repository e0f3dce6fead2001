"""A recorded data directory is opened with this version, its app goes on, and what came of
every change is counted.

Theory of operation: the recording is a crash of an old version; `Shop` is the same app in a test world of
this version on a copy of its rows, from the recorded time on or later. `go_on` mends what was broken, puts
back what was parked, resumes what was paused; `complaints` then says which change of the recording has not
exactly one end, or the wrong one. Rules of this file: answers come from handlers, verbs and items, never from
the layout of rows.
"""

import gzip
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tailrace.api.lambdas.service import LambdaService
from tailrace.app.function_settings import NamedFunction
from tailrace.engine.state import EngineStateStore
from tailrace.ports import Commit
from tailrace.stores.memory import MemoryStore
from tailrace.stores.sqlite import SqliteStore
from tailrace.testing import World
from tests.upgrade.shop import FUNCTION, NOTES, Notes, shop

RECORDED: Final = Path(__file__).with_name("recorded")
HOUR_S: Final = 3_600
IN_ORDER: Final = ("charge", "late", "stuck", "brand", "ship", "tumble", "lambda")
"""Handlers that get the changes of an item in order, whatever was put back: what `mail` and `lane` gave up
on, they passed.
"""


@dataclass(frozen=True, slots=True)
class Recording:
    """What an old version left behind, and what is known of it beside. Shape: `changes` are those of every
    stream there was, in order.
    """

    name: str
    known: dict[str, Any]

    @property
    def changes(self) -> list[dict[str, Any]]:
        """Every change that there ever was."""
        changes: list[dict[str, Any]] = self.known["changes"]
        return changes

    @property
    def wall_ms(self) -> int:
        """When it crashed."""
        return int(self.known["wall_ms"])

    def is_in(self, change: dict[str, Any], shard: str) -> bool:
        """Whether a shard has, or would have had, a change: a gap of one that is gone is told
        where its descendants begin.
        """
        first, last = self.known["hashes"].get(shard, (0, -1))
        return bool(first <= change["partition"] <= last)

    @property
    def unsaved(self) -> set[str]:
        """The changes that were under way at the crash: they may have been handled without a
        checkpoint that says so.
        """
        return {change["event_id"] for change in self.changes if change["created_ms"] == self.wall_ms}

    def lay(self, directory: Path) -> Path:
        """The data directory as it was left."""
        directory.mkdir(exist_ok=True)
        (directory / "format").write_text(self.known["format"])
        (directory / "tailrace.db").write_bytes(unpacked(f"{self.name}.db.gz"))
        return directory


def unpacked(file: str) -> bytes:
    """What a recorded file holds."""
    return gzip.decompress((RECORDED / file).read_bytes())


def recording(name: str) -> Recording:
    """One of them."""
    return Recording(name, json.loads(unpacked(f"{name}.json.gz")))


def rows_of(directory: Path) -> MemoryStore:
    """Everything that is in a directory's store, once this version has opened it."""
    store = SqliteStore(directory / "tailrace.db", sync="normal")
    copied = MemoryStore()
    try:
        with sqlite3.connect(directory / "tailrace.db") as database:
            tables = {int.from_bytes(key[:4]) for (key,) in database.execute("SELECT key FROM items")}
            shards = {int.from_bytes(key[:8]) for (key,) in database.execute("SELECT key FROM log")}
        for table in sorted(tables):
            copied._keys[table] = []
            copied._rows[table] = {}
            for key, value in store.query(table, b"", None, 1_000_000):
                copied._keys[table].append(key)
                copied._rows[table][key] = value
        for shard in sorted(shards):
            copied.commit(Commit(log=list(store.read_log(shard, 0, 1_000_000))))
    finally:
        store.close()
    return copied


class Shop:
    """The shop of a recording in a world of this version. Units: at_ms since the epoch."""

    def __init__(self, content: MemoryStore, notes: Notes, at_ms: int, seed: int = 1) -> None:
        self.at_ms = at_ms
        self.early: list[str] = []
        """What was wrong on the way."""
        NOTES.handled, NOTES.broken = notes.handled, notes.broken
        NOTES.windows, NOTES.tumbled, NOTES.told = notes.windows, notes.tumbled, notes.told
        self.world = World(seed=seed, start_ms=at_ms, allow_failures=True)
        store = self.world._store
        copied = content.copy()
        store._rows, store._keys, store._log = copied._rows, copied._keys, copied._log
        self.world.kill()

    def start(self) -> None:
        """Run the app, and what Lambda's API has."""
        self.world._killed = []
        self.world.use(shop(NOTES, version=2))
        workers: list[Any] = []

        async def use(app: Any) -> None:
            if workers:
                await workers[0].change()
            elif app.mappings:
                await self.world._start(app)
                workers.append(self.world._running[-1].worker)

        functions = {"tally": NamedFunction(*FUNCTION.split(":"))}
        service = LambdaService(
            self.world.engine,
            EngineStateStore(self.world.engine, self.world._joined),
            functions,
            lambda *_: None,
            use,
            lambda: workers[0] if workers else None,
        )
        self.world._run(service.load())
        self.world._run(service.start())

    def ask(self, verb: str, **arguments: Any) -> list[Any]:
        """What a verb answers."""
        return self.world._ask(verb, arguments)

    def letters(self, handler: str) -> list[dict[str, Any]]:
        """A handler's dead letters, parked changes among them."""
        return [
            letter for value in self.ask("dlq.ls", handler=handler) for letter in value.get("letters", ())
        ]

    def go_on(self) -> None:
        """Mend, put back, resume; until nothing is left to do."""
        before = {handler: len(events) for handler, events in NOTES.handled.items()}
        self.world.advance("1m")
        if len(NOTES.handled["late"]) > before["late"]:
            self.early.append("late: it was paused, and went on")
        behind = {letter["event_id"] for letter in self.letters("charge")}
        if behind & set(NOTES.handled["charge"][before["charge"] :]):
            self.early.append("charge: a change passed the one that its key waits for")
        NOTES.broken = {}
        for handler in ("charge", "lane"):
            self.ask("dlq.redrive", handler=handler, even_if_overtaken=True)
        self.ask("resume", handler="late")
        self.world.settle()
        self.world.advance("3h")  # the redrive that was asked for before the crash takes its time
        tried = {letter["key"] for letter in self.letters("mail") if letter["last_failure_ms"] >= self.at_ms}
        if any(
            letter["key"] not in tried for letter in self.letters("mail")
        ):  # nothing behind what failed again
            self.early.append("mail: a redrive that was under way did not go on")
        self.ask("dlq.redrive", handler="mail", even_if_overtaken=True)
        self.world.settle()


@contextmanager
def opened(content: MemoryStore, notes: Notes, at_ms: int, seed: int = 1) -> Iterator[Shop]:
    """A shop that is closed at the end."""
    made = Shop(content, notes, at_ms, seed)
    try:
        yield made
    finally:
        made.world.close()


def noted(recorded: Recording) -> Notes:
    """What the handlers had done before the crash."""
    known = recorded.known
    return Notes(
        {handler: list(events) for handler, events in known["handled"].items()},
        {handler: set(keys) for handler, keys in known["broken"].items()},
        dict(known["windows"]),
        list(known["tumbled"]),
    )


# ---- what came of it ---------------------------------------------------------------------------------------


def complaints(recorded: Recording, here: Shop, unsaved: Collection[str] = ()) -> list[str]:
    """What went wrong, in words; nothing when every change has one end and every state is right.

    Shape:   `unsaved` are changes that may be handled again: they were under way at a crash.
    """
    gone = gaps(recorded, here)
    return [
        *here.early,
        *ends(recorded, here, gone, recorded.unsaved.union(unsaved)),
        *orders(recorded),
        *effects(recorded, here),
        *windows(recorded, gone),
        *projected(here),
        *notices(recorded),
        *answers(recorded, here),
    ]


def gaps(recorded: Recording, here: Shop) -> dict[str, set[str]]:
    """The changes of each handler that are told as lost; of a gap that has forgotten its shard, those that
    were not handled.
    """
    lost: dict[str, set[str]] = {}
    for gap in here.ask("gaps")[0]:
        handler = handler_of(gap["handler"])
        lost.setdefault(handler, set()).update(
            change["event_id"]
            for change in recorded.changes
            if int(gap["first"]) <= int(change["number"]) <= int(gap["last"])
            and (
                recorded.is_in(change, gap["shard"])
                or (gap["shard"] == "earlier" and change["event_id"] not in NOTES.handled.get(handler, ()))
            )
        )
    return lost


def handler_of(mapping: str) -> str:
    """The name under which a handler keeps its notes: a mapping of Lambda's API has a UUID."""
    return "lambda" if mapping.count("-") == 4 else mapping


def meant(recorded: Recording, handler: str) -> list[dict[str, Any]]:
    """The changes that a handler is called for."""
    newest = recorded.changes[-1]["label"]
    match handler:
        case "brand":
            return [change for change in recorded.changes if change["key"].startswith("n")]
        case "lambda":
            return [change for change in recorded.changes if change["label"] == newest]
    return recorded.changes


def ends(
    recorded: Recording, here: Shop, gone: dict[str, set[str]], unsaved: Collection[str]
) -> Iterator[str]:
    """Changes without an end, with two, or handled again although a checkpoint said that they were."""
    for handler in (*IN_ORDER, "mail", "lane"):
        counts, wanted = Counter(NOTES.handled.get(handler, ())), meant(recorded, handler)
        left = set() if handler == "lambda" else {letter["event_id"] for letter in here.letters(handler)}
        for change in wanted:
            event = change["event_id"]
            reached = (counts[event] > 0) + (event in gone.get(handler, ())) + (event in left)
            if reached != 1 and not (reached == 2 and event in unsaved):
                yield f"{handler}: {change['key']} {event} has {reached} ends"
            if counts[event] > 1 and event not in unsaved:
                yield f"{handler}: {change['key']} {event} was handled {counts[event]} times"
        own = {change["event_id"] for change in wanted}
        if strangers := set(counts) - own - set(recorded.known["handled"].get(handler, ())):
            yield f"{handler}: it was called for {len(strangers)} changes that are none of its own"
        if left:
            yield f"{handler}: {len(left)} dead letters were not put back"


def orders(recorded: Recording) -> Iterator[str]:
    """Items whose changes came out of order."""
    place = {change["event_id"]: index for index, change in enumerate(recorded.changes)}
    key = {change["event_id"]: change["key"] for change in recorded.changes}
    for handler in IN_ORDER:
        last: dict[str, int] = {}
        for event in dict.fromkeys(NOTES.handled.get(handler, ())):
            if event not in place:
                continue
            if place[event] < last.get(key[event], -1):
                yield f"{handler}: {key[event]} {event} came after a later change of its item"
            last[key[event]] = place[event]


def effects(recorded: Recording, here: Shop) -> Iterator[str]:
    """Recorded writes that were applied never, or twice."""
    handled = set(NOTES.handled["ship"])
    wanted = Counter(change["key"] for change in recorded.changes if change["event_id"] in handled)
    stock = {item["id"]: int(item["n"]) for item in here.world.scan("stock")}
    for key in sorted(wanted.keys() | stock.keys()):
        if wanted[key] != stock.get(key, 0):
            yield f"ship: {key} was counted {stock.get(key, 0)} times, not {wanted[key]}"


def windows(recorded: Recording, gone: dict[str, set[str]]) -> Iterator[str]:
    """Windows that were told without a change of theirs, or with one of another, and changes that
    no tumbling window counted.
    """
    newest: dict[str, dict[str, Any]] = {}
    for change in recorded.changes:
        if change["event_id"] not in gone.get("hourly", ()):
            newest[change["key"]] = change
    wanted: dict[str, list[str]] = {}
    day_s = 24 * HOUR_S
    for change in newest.values():
        if change["placed"] > recorded.wall_ms // 1_000 - day_s:
            wanted.setdefault(window_of(change), []).append(change["key"])
    for name, keys in wanted.items():
        if NOTES.windows.get(name) != sorted(keys):
            yield f"hourly: {name} was told as {NOTES.windows.get(name)}, not as {sorted(keys)}"
    # The last call of a window that a crash cuts off is made again, with the same state.
    counted = sum({(window["shard"], window["start"]): window["count"] for window in NOTES.tumbled}.values())
    handled = len(set(NOTES.handled["tumble"]))
    if counted != handled:
        yield f"tumble: its windows counted {counted} of {handled} changes"


def window_of(change: dict[str, Any]) -> str:
    """The name of a change's window in the notes."""
    start = datetime.fromtimestamp(change["placed"] // HOUR_S * HOUR_S, UTC)
    return f"{change['country']}/{start:%dT%H}"


def projected(here: Shop) -> Iterator[str]:
    """Groups that are not what the items say, and builds that never became the one that is served."""
    totals: Counter[str] = Counter()
    for item in here.world.scan("orders"):
        totals[item["country"]] += int(item["total"])
    for country, total in totals.items():
        if here.world.projected("sales")[country] != total:
            yield f"sales: {country} has {here.world.projected('sales')[country]}, not {total}"
    served = [build["build"] for build in here.ask("projection.ls")[0] if build["served"]]
    if not served or not served[0].startswith("2"):
        yield f"sales: {served} is served, not version 2"


def notices(recorded: Recording) -> Iterator[str]:
    """Dead letters from before that no destination was told of."""
    told = {json.loads(message)["DDBStreamBatchInfo"]["startSequenceNumber"] for message in NOTES.told}
    for change in recorded.changes:
        if change["key"] in ("r1", "r2") and change["number"] not in told:
            yield f"mail: its destination was never told of {change['key']}"


def answers(recorded: Recording, here: Shop) -> Iterator[str]:
    """Verbs that do not know the shop any more, and what is written now and never arrives."""
    (status,) = here.ask("status")
    names = {handler["handler"] for handler in status["handlers"]}
    if lacking := {"charge", "late", "stuck", "mail", "brand", "ship", "lane", "tumble", "hourly"} - names:
        yield f"status does not know {sorted(lacking)}"
    here.world.put(
        "orders", {"id": "o3", "total": 1_000, "country": "NL", "placed": recorded.wall_ms // 1_000}
    )
    here.world.settle()
    told = here.ask("why", what="orders/o3", last=100)[0]["changes"]
    for handler in ("charge", "late", "stuck", "mail", "ship", "lane", "tumble"):
        if told[-1]["event_id"] not in NOTES.handled[handler]:
            yield f"{handler}: a change from after the upgrade was not handled"
    yield from projected(here)


# ---- planted mistakes --------------------------------------------------------------------------------------


def without(prefix: str) -> Callable[[MemoryStore], None]:
    """An upgrade that loses the rows that begin so."""

    def lose(store: MemoryStore) -> None:
        gone = [key for key in store._rows[1] if key.startswith(prefix.encode())]
        assert gone, f"there are no rows {prefix}"
        for key in gone:
            del store._rows[1][key]
        store._keys[1] = sorted(store._rows[1])

    return lose


def finished(prefix: str) -> Callable[[MemoryStore], None]:
    """An upgrade that takes checkpoints for those of shards that are done with."""

    def finish(store: MemoryStore) -> None:
        for key, value in store._rows[1].items():
            if key.startswith(prefix.encode()):
                store._rows[1][key] = json.dumps({**json.loads(value), "finished": True}).encode()

    return finish
