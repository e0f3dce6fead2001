"""`tailrace worker` and projections: real processes, one `tailrace serve` for AWS; the rows are held against
a recount of the table.

Rules of this file: rows are read where they lie, in the state or in a table, from outside of every worker.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.projections.core.builds import Build, build_key, read_build, read_served, served_key
from tailrace.projections.core.rows import build_name, groups_prefix, read_group_row
from tailrace.stores.state_targets import open_state
from tests.fleet import KILL, TERM, Fleet, fleet
from tests.older_server import OlderServer
from tests.patience import eventually, until

CLAIM_MS = 1_500
APP = f"""
import os
import time
from decimal import Decimal

from tailrace import App
from tailrace.projections.core import known
from tailrace.projections.run import builds

known.CLAIM_MS = builds.CLAIM_MS = {CLAIM_MS}  # a worker that was killed is given up sooner than by default

app = App("fleet")
orders = app.table("orders", pk="id")


@app.projection(orders, by="country", id="totals")
def totals(total: Decimal, item: dict, sign: int) -> Decimal:
    if os.path.exists(os.environ.get("SEEN", "") + ".slow"):
        time.sleep(0.005)
    return total + sign * item["n"]
"""
COUNTRIES = ("NL", "BE", "FR")
Groups = dict[str, tuple[int, Decimal]]


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Fleet]:
    """A server with a table of four shards, and state in a file."""
    with fleet(tmp_path, "--memory", "--shards", "4") as ground:
        (tmp_path / "app.py").write_text(APP)
        ground.create_state()
        ground.create_table()
        yield ground


def put(ground: Fleet, key: int, number: int) -> None:
    item = {"id": {"S": f"o{key}"}, "n": {"N": str(number)}, "country": {"S": COUNTRIES[number % 3]}}
    ground.call("PutItem", {"TableName": "orders", "Item": item})


def fill(ground: Fleet, keys: int) -> None:
    """So many items, in few calls."""
    for first in range(0, keys, 25):
        requests = [
            {"PutRequest": {"Item": {
                "id": {"S": f"o{key}"}, "n": {"N": str(key)}, "country": {"S": COUNTRIES[key % 3]},
            }}}
            for key in range(first, min(first + 25, keys))
        ]  # fmt: skip
        ground.call("BatchWriteItem", {"RequestItems": {"orders": requests}})


def change(ground: Fleet, keys: int, turn: int) -> None:
    """Change some items, remove some, and add some."""
    for key in range(turn, keys, 7):
        put(ground, key, 10 * key + turn)
    for key in range(turn, keys, 11):
        ground.call("DeleteItem", {"TableName": "orders", "Key": {"id": {"S": f"o{key}"}}})
    for key in range(3):
        put(ground, keys + 3 * turn + key, turn)


def recount(ground: Fleet) -> Groups:
    """What the table says."""
    counts: Counter[str] = Counter()
    totals: dict[str, Decimal] = {}
    start: dict[str, Any] = {}
    while True:
        page = ground.call("Scan", {"TableName": "orders", **start})
        for item in page["Items"]:
            country = item["country"]["S"]
            counts[country] += 1
            totals[country] = totals.get(country, Decimal(0)) + Decimal(item["n"]["N"])
        if "LastEvaluatedKey" not in page:
            return {country: (counts[country], totals[country]) for country in counts}
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


async def _rows(ground: Fleet) -> tuple[Build | None, Groups]:
    state = await open_state(f"sqlite:{ground.path / 'state.db'}", ManualClock(), "looker")
    try:
        row = await state.get(served_key("fleet", "totals"))
        served = read_served(None if row is None else row.fields)
        if served is None:
            return None, {}
        build = await state.get(build_key("fleet", "totals", served))
        rows = await state.query(groups_prefix("fleet", build_name("totals", served)))
        groups = [read_group_row(row.fields) for row in rows]
        return None if build is None else read_build(build.fields), {
            orjson.loads(group.key)["S"]: (group.count, Decimal(group.state["N"]))
            for group in groups
            if group.count
        }
    finally:
        await state.close()  # type: ignore[attr-defined]


def in_state(ground: Fleet) -> Groups:
    """What the build that is served says; it is filled."""
    build, groups = asyncio.run(_rows(ground))
    return groups if build is not None and build.is_filled else {}


def build_of(ground: Fleet) -> Build | None:
    """How far it is."""
    return asyncio.run(_rows(ground))[0]


def in_table(ground: Fleet) -> Groups:
    """The same where the rows are in a table of the app."""
    groups: Groups = {}
    members: dict[str, Any] = {
        "TableName": "totals",
        "KeyConditionExpression": "pk = :p",
        "ExpressionAttributeValues": {":p": {"S": "totals@v1"}},
    }
    for row in ground.call("Query", members)["Items"]:
        if int(row["count"]["N"]):
            groups[row["key"]["S"]] = (int(row["count"]["N"]), Decimal(row["state"]["N"]))
    return groups


def test_a_projection_is_built_from_the_table_and_follows_it_by_several_workers(ground: Fleet) -> None:
    fill(ground, 150)
    workers = [ground.worker(), ground.worker()]
    assert workers[0].announced["handlers"] == {"totals@v1": "orders"}
    for turn in range(4):
        change(ground, 150, turn)
    until(lambda: in_state(ground) == recount(ground), wanted=True)
    assert workers[0].end(TERM)[0] == 0
    change(ground, 150, 5)
    until(lambda: in_state(ground) == recount(ground), wanted=True)
    assert workers[1].end(TERM)[0] == 0


def test_a_build_whose_worker_is_killed_in_the_middle_is_gone_on_with_by_another(ground: Fleet) -> None:
    slow = ground.path / "seen.txt.slow"
    slow.touch()
    fill(ground, 500)
    first = ground.worker()
    begun = eventually(
        lambda: (build := build_of(ground)) is not None and 0 < build.filled < 400 and build,
        lambda: f"it is {build_of(ground)}",
    )
    first.end(KILL)
    killed = build_of(ground)
    assert killed is not None
    assert begun.filled <= killed.filled < 500
    assert (killed.is_filled, killed.claimed_by) == (False, first.announced["worker"])
    assert killed.position > 10**21  # the server's own number, wider than ours
    change(ground, 500, 1)
    slow.unlink()
    second = ground.worker()
    until(lambda: in_state(ground) == recount(ground), wanted=True)
    done = build_of(ground)
    assert done is not None
    assert done.since == killed.since  # it went on, and did not begin again
    assert done.filled >= killed.filled
    assert second.end(TERM)[0] == 0


def test_a_projection_in_a_table_beside_the_tables_is_kept_by_transactions(ground: Fleet) -> None:
    (ground.path / "app.py").write_text(
        APP.replace('"totals")', '"totals", into=app.table("totals", pk="pk", sk="sk"))')
    )
    ground.call(
        "CreateTable",
        {
            "TableName": "totals",
            "AttributeDefinitions": [
                {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")
            ],
            "KeySchema": [
                {"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}
            ],
            "BillingMode": "PAY_PER_REQUEST",
        },
    )  # fmt: skip
    fill(ground, 60)
    refused = ground.worker()
    assert (refused.end()[0], refused.first) == (1, "")
    assert "--marks TABLE" in refused.errors[-1]
    assert ground.run("state", "create", "dynamodb:marks", "--endpoint", ground.endpoint)[0] == 0
    workers = [ground.worker("--marks", "marks") for _ in range(2)]
    change(ground, 60, 2)
    until(lambda: in_table(ground) == recount(ground), wanted=True)
    for worker in workers:
        assert worker.end(TERM)[0] == 0


def ask(ground: Fleet, *arguments: str) -> tuple[int, Any]:
    """What a command from a machine without workers answers: its exit code, and JSON."""
    endpoint = ground.behind or ground.endpoint
    where = ("--state", "sqlite:state.db", "--app", "app.py", "--endpoint", endpoint, "--json")
    code, out, said = ground.run("projection", *arguments, *where)
    assert out, said
    return code, json.loads(out)


def test_a_projection_is_read_compared_and_built_anew_from_any_machine(ground: Fleet) -> None:
    app = APP.replace(
        "from tailrace.projections.run import builds",
        "from tailrace.projections.run import builds, projector",
    )
    (ground.path / "app.py").write_text(
        app.replace("known.CLAIM_MS =", "projector.STUCK_LOOK_MS = 500\nknown.CLAIM_MS =")
    )
    fill(ground, 90)
    workers = [ground.worker(), ground.worker()]
    until(lambda: in_state(ground) == recount(ground), wanted=True)
    code, (build,) = ask(ground, "ls")
    assert (code, build["build"], build["served"], build["items"]) == (0, "1", True, 90)
    shown = ask(ground, "show", "totals")[1]["groups"]
    assert {group["key"]["S"]: group["count"] for group in shown} == {"NL": 30, "BE": 30, "FR": 30}
    code, verdict = ask(ground, "verify", "totals")
    assert (code, verdict["items"], verdict["differing"]) == (0, 90, 0)
    assert ask(ground, "rebuild", "totals", "--dry-run")[1]["build"] is None
    assert ask(ground, "rebuild", "totals")[1]["build"] == "1.1"
    change(ground, 90, 3)
    until(lambda: [build["build"] for build in ask(ground, "ls")[1] if build["served"]], wanted=["1.1"])
    until(lambda: in_state(ground) == recount(ground), wanted=True)
    assert ask(ground, "verify", "totals")[0] == 0
    for worker in workers:
        assert worker.end(TERM)[0] == 0
    (ground.path / "app.py").write_text(app.replace('sign * item["n"]', '2 * sign * item["n"]'))
    code, verdict = ask(ground, "verify", "totals")
    assert (code, verdict["differing"]) == (1, 3), "it is compared with what the function says now"


def test_a_table_that_tells_no_position_is_built_followed_compared_and_built_anew(ground: Fleet) -> None:
    """As AWS: the header is taken out, and a worker is killed in the middle."""
    slow = ground.path / "seen.txt.slow"
    slow.touch()
    app = APP.replace(
        "from tailrace.projections.run import builds",
        "from tailrace.projections.run import builds, projector",
    )
    (ground.path / "app.py").write_text(
        app.replace("known.CLAIM_MS =", "projector.STUCK_LOOK_MS = 500\nknown.CLAIM_MS =")
    )
    fill(ground, 400)
    with OlderServer(ground.endpoint, is_ours=False) as other:
        ground.behind = other.url
        code, told, _ = ground.run("explain", "--on", "worker", "app.py", "--endpoint", other.url)
        assert (code, "totals@v1 ← orders: runs" in told) == (0, True)
        assert "filled    from a Scan of consistent reads without positions" in told
        first = ground.worker("--lease", "6s")
        eventually(
            lambda: (build := build_of(ground)) is not None and 0 < build.filled < 400 and build,
            lambda: f"it is {build_of(ground)}",
        )
        first.end(KILL)
        change(ground, 400, 1)
        slow.unlink()
        workers = [ground.worker(), ground.worker()]
        change(ground, 400, 2)
        until(lambda: in_state(ground) == recount(ground), wanted=True)
        build = build_of(ground)
        assert build is not None
        assert (build.is_timed, build.seen_ms > 0) == (True, True)
        assert ask(ground, "rebuild", "totals")[1]["build"] == "1.1"
        change(ground, 400, 3)
        until(lambda: [build["build"] for build in ask(ground, "ls")[1] if build["served"]], wanted=["1.1"])
        until(lambda: in_state(ground) == recount(ground), wanted=True)
        code, verdict = ask(ground, "verify", "totals")
        assert (code, verdict["differing"]) == (0, 0)
        for worker in workers:
            assert worker.end(TERM)[0] == 0
        calls = {call.operation for call in other.calls}
        assert "BatchGetItem" in calls
