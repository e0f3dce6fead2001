"""Every example in every place where it can run: the same writes leave the same items, in a test world, under
`tailrace dev`, by `tailrace worker`, and on Lambda.

A place that cannot run a handler says so in words: that is looked at for all of them. What an example tells
others than tables (a pager, a mail) is left to its own tests.
Rules of this file: one script of writes and one look at the tables for each example, through DynamoDB's API
in all places.
"""

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final

import boto3
import duckdb
import pytest
from botocore.config import Config

import tailrace
from tailrace.app.app import App
from tailrace.app.loading import load_app
from tailrace.app.plain import to_item, to_plain_item
from tailrace.clocks.manual import ManualClock
from tailrace.entry.fitness import judge
from tailrace.projections.core.builds import served_key
from tailrace.projections.core.rows import build_name, groups_prefix, read_group_row
from tailrace.stores.dynamodb import DynamoDbStateStore
from tailrace.testing import World
from tests.acceptance.lambda_shop import new_table
from tests.crash.node import Node, free_port
from tests.fleet import ENVIRONMENT, TERM, Command
from tests.patience import PATIENCE_S, at_rest, eventually
from tests.started.tests_stay_on_loopback import python_path

EXAMPLES: Final = Path(tailrace.__file__).parents[2] / "examples"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE: Final = timedelta(minutes=1)
Writes = list[tuple[str, Mapping[str, Any] | None, Mapping[str, Any]]]
"""The table, the item to put (None: delete), its key. A number for `at` are seconds after a minute that is
over by half an hour.
"""


@dataclass(frozen=True, slots=True)
class Look:
    """What can be seen in a place. Shape: `items` of a table, as plain values; `dead_letters` of a handler,
    by the keys of their items; `minute` is the one that the writes count from.
    """

    items: Callable[[str], list[dict[str, Any]]]
    dead_letters: Callable[[str], list[str]]
    minute: datetime


@dataclass(frozen=True, slots=True)
class Example:
    """One example. Shape: `tables` are made with these keys, and with these `indexes`; `left` is what the
    tables say in the end, and `projection` one that is looked at beside them.
    """

    file: str
    tables: Mapping[str, tuple[str, ...]]
    writes: Writes
    left: Callable[[Look], Any]
    handlers: str = ""
    indexes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    projection: str = ""

    @property
    def name(self) -> str:
        """How it is called."""
        return self.file.partition("/")[0]


def order(number: int, country: str, total: int) -> tuple[str, Mapping[str, Any] | None, Mapping[str, Any]]:
    """An order of the shop, written."""
    key = {"pk": f"ORDER#o{number}", "sk": "META", "id": f"o{number}"}
    return put(
        "shop", **key, country=country, total=total, placed_at=f"2026-01-{number + 1:02}T00:00:00.000000Z"
    )


def put(table: str, **item: Any) -> tuple[str, Mapping[str, Any] | None, Mapping[str, Any]]:
    """A write."""
    return table, item, {}


def shown(look: Look) -> dict[str, str]:
    """The articles that the search index has."""
    with closing(sqlite3.connect("search.sqlite")) as index, suppress(sqlite3.OperationalError):
        return dict(index.execute("select id, title from shown where title is not null"))
    return {}


def minutes(look: Look) -> list[tuple[Any, ...]]:
    """The rows of minutes, from a copy of a file that a process has to itself."""
    copy = "copy.duckdb"
    with suppress(FileNotFoundError, duckdb.Error):
        for name in ("", ".wal"):
            Path(copy + name).unlink(missing_ok=True)
            if name == "" or Path("aggregates.duckdb.wal").exists():
                shutil.copy("aggregates.duckdb" + name, copy + name)
        with closing(duckdb.connect(copy)) as file:
            rows = file.execute("SELECT key, start, count::INT, lowest, highest FROM minutes ORDER BY ALL")
            return [
                (key, (datetime.fromisoformat(start) - look.minute) // MINUTE, *measured)
                for key, start, *measured in rows.fetchall()
            ]
    return []


EXAMPLE_LIST: Final = (
    Example(
        "aggregates/aggregates.py",
        {"readings": ("sensor", "at")},
        [
            *(put("readings", sensor="roof", at=at, celsius=20 + at) for at in (0, 59, 60, 125)),
            put("readings", sensor="cellar", at=5, celsius=5),
            put("readings", sensor="roof", at=0, celsius=7),  # corrected
        ],
        minutes,
    ),
    Example(
        "search_index/search_index.py",
        {"articles": ("id",)},
        [
            *(put("articles", id=f"a{n}", title=f"Title {n}", text="some words") for n in range(4)),
            put("articles", id="a1", title="Another", text="some words"),
            ("articles", None, {"id": "a2"}),
        ],
        shown,
    ),
    Example(
        "existing_function/existing_function.py",
        {"orders": ("id",)},
        [
            put("orders", id=f"o{n}", currency=currency, total=10)
            for n, currency in enumerate(("USD", "XXX", "GBP"))
        ],
        lambda look: look.dead_letters("lambda_handler"),
    ),
    Example(
        "inventory/inventory.py",
        {"stock": ("sku",), "sales": ("id",)},
        [
            put("stock", sku="nuts", pieces=10, minimum=3),
            *(put("sales", id=f"s{n}", sku="nuts", count=n) for n in (1, 2, 3)),
            put("sales", id="s9", sku="nuts", count=99),  # more than there ever are: it is parked
        ],
        lambda look: {row["sku"]: row["pieces"] for row in look.items("stock")},
    ),
    Example(
        "fan_out/fan_out.py",
        {"orders": ("id",), "stock": ("sku",)},
        [put("orders", id=f"o{n}", sku="abc"[n % 3], count=n, total=n) for n in range(1, 8)],
        lambda look: {row["sku"]: row["pieces"] for row in look.items("stock")},
        handlers="revenue,reserve",  # `partner` takes its time, and leaves nothing
    ),
    Example(
        "receipts/receipts.py",
        {"orders": ("id",), "outbox": ("id",)},
        [
            put("orders", id="o1", address="a@example.com", status="new", total=5),
            put("orders", id="o1", address="a@example.com", status="paid", total=5),
            put("orders", id="o2", address="b@example.com", status="paid", total=7),
            put("orders", id="o1", address="a@example.com", status="sent", total=5),
        ],
        lambda look: sorted(row["text"] for row in look.items("outbox")),
    ),
    Example(
        "sessions/sessions.py",
        {"sessions": ("id",), "users": ("name",)},
        [
            *(put("sessions", id=f"s{n}", user="ab"[n % 2], basket=[]) for n in range(5)),
            ("sessions", None, {"id": "s1"}),
            put("sessions", id="s2", user="b", basket=[]),  # taken over: it is parked
        ],
        lambda look: {row["name"]: row["sessions"] for row in look.items("users")},
    ),
    Example(
        "transfers/app.py",
        {"transfers": ("id",), "accounts": ("id",)},
        [
            put("transfers", id=f"t{n}", source="abc"[n % 3], target="abc"[(n + 1) % 3], amount=n)
            for n in range(1, 12)
        ],
        lambda look: {row["id"]: (row["balance"], row["applied"]) for row in look.items("accounts")},
    ),
    Example(
        "audit_trail/audit_trail.py",
        {"documents": ("id",), "trail": ("document", "position")},
        [
            put("documents", id="d1", title="one", edited_by="ann"),
            put("documents", id="d1", title="two", edited_by="bob"),
            put("documents", id="d2", title="other", edited_by="ann"),
            ("documents", None, {"id": "d1"}),
        ],
        lambda look: [
            (row["document"], row["what"], row["who"], row["fields"])
            for row in sorted(look.items("trail"), key=lambda row: (row["document"], row["position"]))
        ],
    ),
    Example(
        "shop/shop.py",
        {"shop": ("pk", "sk")},
        [order(n, ("NL", "BE")[n % 2], 10 + n) for n in range(6)] + [order(2, "BE", 3), order(3, "NL", 2)],
        lambda look: {row["pk"]: row["cuts"] for row in look.items("shop") if row["sk"] == "CUTS"},
        indexes={"by_country": ("country", "placed_at")},
        projection="sales",
    ),
)  # fmt: skip
REFUSED: Final = {
    "aggregates": {"by_minute": "when it is over", "heat": "when it is over", "online": "when it is over"},
    "existing_function": {"lambda_handler": "mapping of its own"},
}


def loaded(file: str) -> App:
    """An example's app, made anew."""
    path = EXAMPLES / file
    for name in [
        name for name, module in sys.modules.items() if str(EXAMPLES) in str(getattr(module, "__file__", ""))
    ]:
        del sys.modules[name]
    return load_app(str(path))


def look_at(client: Any, directory: Path, *place: str) -> Look:
    """Look at a place whose tables this client reaches, and its dead letters a command with these options."""

    def items(table: str) -> list[dict[str, Any]]:
        return [to_plain_item(item) for item in client.scan(TableName=table)["Items"]]

    def dead_letters(handler: str) -> list[str]:
        listed = subprocess.run(
            [sys.executable, "-m", "tailrace", "dlq", "ls", handler, *place, "--json"],
            cwd=directory, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True,
            timeout=PATIENCE_S,
        )  # fmt: skip
        assert listed.returncode == 0, listed.stderr
        return sorted(str(letter["key"]) for letter in json.loads(listed.stdout)["letters"])

    headers = client.list_tables()["ResponseMetadata"]["HTTPHeaders"]
    now = parsedate_to_datetime(headers["date"]).replace(second=0) if "date" in headers else EPOCH
    return Look(items, dead_letters, now - 30 * MINUTE)


def write(client: Any, writes: Writes, look: Look) -> None:
    """Do what the script says."""
    for table, item, key in writes:
        if item is None:
            client.delete_item(TableName=table, Key=to_item(key))
            continue
        times = {}
        if "at" in item:
            times["at"] = (look.minute + timedelta(seconds=item["at"])).isoformat()
        client.put_item(TableName=table, Item=to_item({**item, **times}))


def in_a_world(example: Example, directory: Path) -> Any:
    """What is left in a test world, which is what the others are held against."""
    directory.mkdir()
    with chdir(directory), World(loaded(example.file), seed=1, allow_failures=True) as world:
        client = world.client("dynamodb")
        letters = lambda handler: [str(letter.change.key) for letter in world.dead_letters(handler)]  # noqa: E731
        look = replace(look_at(client, directory), dead_letters=letters, minute=world.moment)
        write(client, example.writes, look)
        world.settle()
        if example.name == "aggregates":
            world.advance("30m")
        left = example.left(look)
        if example.projection:
            return left, {key: Decimal(state) for key, state in world.projected(example.projection).items()}
        return left


@contextmanager
def served(
    directory: Path, command: tuple[str, ...], environment: Mapping[str, str]
) -> Iterator[tuple[Any, Any, Node]]:
    """A node in a process of its own, and clients of it."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    node = Node(directory, port, command)
    given: dict[str, Any] = {
        "endpoint_url": address, "region_name": "us-east-1",
        "aws_access_key_id": "any", "aws_secret_access_key": "any",
        "config": Config(retries={"total_max_attempts": 1}),
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            **environment,
        }.items():
            patch.setenv(name, value)
        node.start()
    try:
        node.wait_until_answering()
        yield boto3.client("dynamodb", **given), boto3.client("lambda", **given), node
    finally:
        node.stop()


def under_dev(example: Example, directory: Path, expected: Any) -> Any:
    """What is left under `tailrace dev`."""
    with served(directory, ("dev", str(EXAMPLES / example.file), "--no-reload"), {}) as (client, _, _node):
        here = ("--url", client.meta.endpoint_url)
        look = look_at(client, directory, *here)
        write(client, example.writes, look)

        def left() -> Any:
            if not example.projection:
                return example.left(look)
            show = ("projection", "show", example.projection, "--json", *here)
            with closing(Command(*show, cwd=directory)) as shown:
                groups = json.loads(shown.first)["groups"] if shown.end()[0] == 0 else []
            return example.left(look), {group["key"]["S"]: Decimal(group["state"]["N"]) for group in groups}

        return at_rest(left, lambda seen: seen == expected)


def projected(client: Any, app: App, name: str) -> dict[str, Decimal]:
    """What the build of a projection that is served says, from the state of a fleet."""

    async def read() -> dict[str, Decimal]:
        state = DynamoDbStateStore(client, "state", ManualClock(), "looker")
        row = await state.get(served_key(app.name, name))
        if row is None:
            return {}
        build = build_name(name, str(row.fields["served"]))
        groups = [read_group_row(group.fields) for group in await state.query(groups_prefix(app.name, build))]
        return {json.loads(group.key)["S"]: Decimal(group.state["N"]) for group in groups if group.count}

    return asyncio.run(read())


def by_a_worker(example: Example, directory: Path, expected: Any) -> Any:
    """What is left by a worker of a fleet, with a `tailrace serve` for AWS, and state in a table there."""
    with served(directory, ("serve",), {}) as (client, _, _node):
        for name, keys in example.tables.items():
            new_table(client, name, keys, indexes=example.indexes)
        app = loaded(example.file)
        far = ("--state", "dynamodb:state", "--endpoint", client.meta.endpoint_url)
        with closing(Command("state", "create", "dynamodb:state", *far[2:], cwd=directory)) as made:
            assert made.end()[0] == 0
        file = str(EXAMPLES / example.file)
        with closing(Command("worker", file, *far, "--health", "off", "--json", cwd=directory)) as worker:
            assert worker.announced["handlers"]
            look = look_at(client, directory, *far, "--app", file)
            write(client, example.writes, look)

            def left() -> Any:
                seen = example.left(look)
                if not example.projection:
                    return seen
                return seen, projected(client, app, example.projection)

            seen = at_rest(left, lambda seen: seen == expected)
            assert worker.end(TERM)[0] == 0
        return seen


def on_lambda(example: Example, directory: Path, expected: Any) -> Any:
    """What is left by the Lambda entry, behind an event source mapping for each stream."""
    module = Path(example.file).stem
    (directory / "entry_of_example.py").write_text(
        f"import sys\nsys.path.insert(0, {str((EXAMPLES / example.file).parent)!r})\n"
        f"from {module} import app\nhandler = app.lambda_handler\n"
    )
    environment = {
        "PYTHONPATH": python_path(directory),
        "TAILRACE_STATE": "dynamodb:state",
        **({"TAILRACE_HANDLERS": example.handlers} if example.handlers else {}),
    }
    command = ("serve", "--function=entry=entry_of_example:handler")
    with served(directory, command, environment) as (client, functions, _node):
        functions.update_function_configuration(FunctionName="entry", Timeout=60)
        streams = {
            name: new_table(client, name, keys)
            for name, keys in {"state": ("pk", "sk"), **example.tables}.items()
        }
        app = loaded(example.file)
        chosen = [name for name in example.handlers.split(",") if name]
        followed = {
            mapping.table.name
            for mapping in app.mappings
            if (not chosen or mapping.id in chosen) and not mapping.only_counts
        }
        for name in sorted(followed):
            uuid = functions.create_event_source_mapping(
                EventSourceArn=streams[name], FunctionName="entry", StartingPosition="TRIM_HORIZON",
                FunctionResponseTypes=["ReportBatchItemFailures"], BisectBatchOnFunctionError=True,
            )["UUID"]  # fmt: skip
            eventually(lambda uuid=uuid: functions.get_event_source_mapping(UUID=uuid)["State"] == "Enabled")
        look = look_at(client, directory)
        write(client, example.writes, look)
        return at_rest(lambda: example.left(look), lambda left: left == expected)


PLACES: Final = {"dev": under_dev, "worker": by_a_worker, "lambda": on_lambda}
IN_ALL: Final = ("shop", "receipts")
"""The examples that `make test` runs in all places; `make slow` runs the others there."""


@pytest.mark.parametrize(
    ("example", "place"),
    [
        pytest.param(
            example,
            place,
            id=f"{example.name}-{name}",
            marks=() if name == "dev" or example.name in IN_ALL else pytest.mark.slow,
        )
        for example in EXAMPLE_LIST
        for name, place in PLACES.items()
    ],
)
def test_an_example_leaves_the_same_in_every_place(
    example: Example,
    place: Callable[[Example, Path, Any], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    if place is on_lambda and (example.projection or example.name in REFUSED):
        assert any(verdict.word == "refused" for verdict in judge(loaded(example.file), keeps=True))
        return
    expected = in_a_world(example, tmp_path / "world")
    assert expected
    assert place(example, tmp_path, expected) == expected


@pytest.mark.parametrize("example", EXAMPLE_LIST, ids=lambda example: example.name)
def test_what_lambda_cannot_run_of_an_example_is_refused_in_words(
    example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = {
        verdict.handler: verdict.says
        for verdict in judge(loaded(example.file), keeps=True)
        if verdict.word == "refused"
    }
    if example.projection:
        assert refused  # its projections and windows
        return
    wanted = REFUSED.get(example.name, {})
    assert refused.keys() == wanted.keys()
    assert all(words in refused[handler] for handler, words in wanted.items())
