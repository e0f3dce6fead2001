"""`tailrace worker`: real processes, one `tailrace serve` for AWS, and state in a file or in another one."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace.testing.proxy import Never, Proxy, Refuse
from tests.fleet import APP, ENVIRONMENT, INT, KILL, TERM, Fleet, Handled, check_order, fleet
from tests.patience import eventually

KEYS = 20
SLOW = """
import os
import time

from tailrace import App, Change

app = App("fleet")
orders = app.table("orders", pk="id")


@app.on(orders)
def note(change: Change) -> None:
    with open(os.environ["SEEN"] + ".begun", "a") as begun:
        begun.write("begun\\n")
    while not os.path.exists(os.environ["SEEN"] + ".go"):
        time.sleep(0.01)
    with open(os.environ["SEEN"], "a") as seen:
        seen.write(f"{change.new['id']} {change.new['n']} {os.getpid()}\\n")
"""


@pytest.fixture(params=["dynamodb", pytest.param("sqlite", marks=pytest.mark.slow)])
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fleet]:
    """A server with a table of four shards, and a place for state."""
    with fleet(tmp_path, "--memory", "--shards", "4") as ground:
        if request.param == "dynamodb":
            ground.keep_state_in_dynamodb()
        ground.create_state()
        ground.create_table()
        yield ground


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Fleet]:
    """A server without a table; state in a file that is not there yet."""
    with fleet(tmp_path) as ground:
        yield ground


def once(lines: list[Handled]) -> bool:
    """Whether no change was handled twice."""
    return max(Counter(line[:2] for line in lines).values(), default=0) == 1


# ---- delivery ----------------------------------------------------------------------------------------------


def test_every_write_is_handled_once_and_in_order_over_a_graceful_end(ground: Fleet) -> None:
    before = ground.write(KEYS, 0, 3)
    worker = ground.worker()
    during = ground.write(KEYS, 3, 6)
    ground.wait(before | during)
    assert worker.announced["handlers"] == {"note": "orders"}
    code, said = worker.end(TERM)
    assert code == 0, said
    away = ground.write(KEYS, 6, 8)
    ground.worker()
    ground.wait(before | during | away)
    lines = ground.handled()
    assert once(lines), Counter(line[:2] for line in lines).most_common(3)
    check_order(lines)


def test_what_was_written_around_a_kill_is_handled_by_the_next_worker(ground: Fleet) -> None:
    before = ground.write(KEYS, 0, 3)
    worker = ground.worker()
    eventually(ground.handled)
    worker.end(KILL)
    away = ground.write(KEYS, 3, 5)
    following = ground.worker()
    ground.wait(before | away)
    check_order(ground.handled())
    assert following.announced["worker"] != worker.announced["worker"]  # no name is used twice


def test_two_workers_share_the_shards_and_hand_them_over(ground: Fleet) -> None:
    first, second = ground.worker(), ground.worker()
    before = ground.write(KEYS, 0, 5)
    ground.wait(before)
    assert first.end(TERM)[0] == 0
    after = ground.write(KEYS, 5, 8)
    ground.wait(before | after)
    lines = ground.handled()
    assert once(lines), Counter(line[:2] for line in lines).most_common(3)
    check_order(lines)
    assert {line.process for line in lines if line.number >= 5} == {second.process.pid}


# ---- the end -----------------------------------------------------------------------------------------------


def slow(ground: Fleet, *options: str) -> Fleet:
    """A worker whose handler has begun with the only change, and waits."""
    (ground.path / "app.py").write_text(SLOW)
    ground.create_state()
    ground.create_table()
    ground.write(1, 0, 1)
    ground.worker(*options)
    eventually((ground.path / "seen.txt.begun").exists)
    return ground


def test_a_signal_lets_what_runs_end_and_saves_it(local: Fleet) -> None:
    worker = slow(local).commands[-1]
    worker.send(TERM)
    (local.path / "seen.txt.go").touch()
    assert worker.end()[0] == 0
    following = local.write(1, 1, 2)
    local.worker()
    local.wait({("o0", 0)} | following)
    assert once(local.handled())


def test_what_does_not_end_within_the_drain_is_told_and_delivered_again(local: Fleet) -> None:
    worker = slow(local, "--drain", "0.1s").commands[-1]
    code, said = worker.end(TERM)
    assert code == 3
    assert "left behind: note in" in said
    assert "orders/" in said
    assert not local.handled()
    (local.path / "seen.txt.go").touch()
    local.worker()
    local.wait({("o0", 0)})


def test_a_second_signal_ends_at_once(local: Fleet) -> None:
    worker = slow(local).commands[-1]
    worker.send(INT)
    code = None
    while code is None:  # the first one may still be on its way
        worker.send(INT)
        code = worker.process.poll()
    assert worker.end()[0] == 130


# ---- starts ------------------------------------------------------------------------------------------------


def test_a_new_handler_may_begin_with_what_comes_from_now_on_and_then_goes_on_where_it_was(
    ground: Fleet,
) -> None:
    ground.write(KEYS, 0, 1)  # told or not: it may be of the very second of the start
    worker = ground.worker("--start", "end")
    assert set(worker.announced["began_at"]) == {"note"}
    worker.end(TERM)
    after = ground.write(KEYS, 1, 2)
    again = ground.worker("--start", "end")
    assert again.announced["began_at"] == {}
    ground.wait(after)
    check_order(ground.handled())


@pytest.mark.parametrize("ground", ["sqlite"], indirect=True)
def test_workers_that_begin_from_now_on_leave_none_of_what_continues_shards_that_were_over(
    ground: Fleet,
) -> None:
    """Checkpoints say that those are finished, and no lease does, for none was ever taken: each worker has to
    see for itself, or they differ in what there is to share.
    """
    split, _, said = ground.run("shards", "split", "orders", "--url", ground.endpoint)
    assert split == 0, said
    workers = [ground.worker("--start", "end", "--lease", "2s") for _ in range(2)]
    assert set(workers[0].announced["began_at"] | workers[1].announced["began_at"]) == {"note"}
    written = 0

    def share() -> bool:
        nonlocal written
        ground.write(KEYS, written, written + 1)
        written += 1
        return len({line.process for line in ground.handled()}) == 2

    eventually(share)
    ground.wait({(f"o{key}", number) for key in range(KEYS) for number in range(written)})
    after = ground.write(KEYS, written, written + 2)
    ground.wait(after)
    check_order(ground.handled())


# ---- what is seen of it ------------------------------------------------------------------------------------


def test_a_worker_says_over_http_that_it_lives_is_ready_and_what_it_counted(local: Fleet) -> None:
    local.create_state()
    local.create_table()
    worker = local.worker()
    local.wait(local.write(3, 0, 1))
    assert json.loads(worker.get("/health")[1])["alive"] is True
    eventually(lambda: worker.get("/alive")[0] == 200)
    assert 'tailrace_source_calls_total{operation="get_records",result="ok"}' in worker.get("/metrics")[1]
    assert '\ntailrace_leases{state="held"} 1.0' in worker.get("/metrics")[1]
    assert json.loads(worker.get("/alive")[1])["worker"] == worker.announced["worker"]
    assert worker.get("/ready") == (200, '{"ready":true,"reasons":[]}')
    eventually(lambda: 'outcome="handled"} 3.0' in worker.get("/metrics")[1])


def test_a_scrape_asks_no_stream_and_lag_grows_where_none_answers(local: Fleet) -> None:
    local.create_state()
    local.create_table()
    with Proxy(local.endpoint) as proxy:
        local.behind = proxy.url
        worker = local.worker()
        local.wait(local.write(3, 0, 1))
        for operation in ("GetRecords", "GetShardIterator", "DescribeStream", "ListStreams"):
            proxy.on(operation, Never(seen=False))

        def lag() -> float:
            status, body = worker.get("/metrics")  # with a stream to ask, it would never answer
            assert status == 200, body
            (line,) = [line for line in body.splitlines() if line.startswith("tailrace_lag_seconds{")]
            return float(line.split()[1])

        first = eventually(lag)
        eventually(lambda: lag() > first + 1)
        assert worker.get("/ready")[0] == 200
        asked = proxy.count("GetRecords")
        for _ in range(20):
            lag()
        assert proxy.count("GetRecords") <= asked + 1  # what its own reader asks, and that has no answer


def test_an_outage_is_told_once_with_what_helps_and_the_worker_goes_on_after_it(tmp_path: Path) -> None:
    with fleet(tmp_path, "--data", "aws") as ground:
        ground.create_state()
        ground.create_table()
        worker = ground.worker()
        before = ground.write(3, 0, 1)
        ground.wait(before)
        ground.server.end(TERM)
        line = json.loads(worker.said("it is tried again"))
        assert line["level"] == "warning"
        assert "orders" in line["message"]
        status, body = worker.get("/ready")
        assert (status, json.loads(body)["reasons"][0]["reason"]) == (503, "outage")
        ground.serve("--port", str(ground.port), "--data", "aws")
        after = ground.write(3, 1, 2)
        ground.wait(before | after)
        worker.said("it can be reached again")
        code, said = worker.end(TERM)
    assert code == 0
    assert [json.loads(text) for text in said.splitlines()], "every line of the log is JSON"
    assert ENVIRONMENT["AWS_ACCESS_KEY_ID"] not in said
    assert ENVIRONMENT["AWS_SECRET_ACCESS_KEY"] not in said


def refusing(code: str, words: str) -> Refuse:
    """AWS's answer to who may not, with the names that it tells."""
    return Refuse(code, f"{words}: arn:aws:iam::123456789012:user/shop, key ASIAEXAMPLEEXAMPLE01", 400)


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (refusing("AccessDeniedException", "not authorized"), "dynamodb:GetRecords"),
        (refusing("ExpiredTokenException", "The security token included in the request is expired"), "aws s"),
    ],
    ids=["denied access", "expired credentials"],
)
def test_who_may_not_read_is_told_what_helps_without_accounts_or_keys_and_reads_when_it_may(
    local: Fleet, answer: Refuse, hint: str
) -> None:
    local.create_state()
    local.create_table()
    with Proxy(local.endpoint) as proxy:
        proxy.on("GetRecords", answer)
        local.behind = proxy.url
        changes = local.write(2, 0, 1)
        worker = local.worker()
        line = worker.said("it is tried again")
        assert hint in json.loads(line)["hint"]
        assert "123456789012" not in line
        assert "ASIAEXAMPLE" not in line
        assert not local.handled()
        proxy.clear()
        local.wait(changes)
        worker.said("it can be reached again")
        worker.end(TERM)


# ---- what is refused ---------------------------------------------------------------------------------------


def refused(ground: Fleet, *options: str) -> tuple[str, str]:
    """The words and the hint with which a worker ends at once."""
    worker = ground.worker(*options)
    code, said = worker.end()
    assert (code, worker.first) == (1, ""), said
    error = json.loads(said.splitlines()[-1])["error"]
    return error["message"], error["hint"]


def test_a_state_that_is_not_there_is_refused_with_the_command_that_makes_it(local: Fleet) -> None:
    local.create_table()
    message, hint = refused(local)
    assert "sqlite:state.db" in message
    assert hint == "tailrace state create sqlite:state.db"
    assert not (local.path / "state.db").exists()


def test_a_text_that_names_no_place_is_refused_with_the_forms_that_do(local: Fleet) -> None:
    local.state = ["--state", "redis:here"]
    message, _ = refused(local)
    assert "dynamodb:TABLE" in message


def test_a_missing_table_is_refused_by_its_name(local: Fleet) -> None:
    local.create_state()
    message, hint = refused(local)
    assert "'orders' is not there" in message
    assert hint == f"aws dynamodb list-tables --endpoint-url {local.endpoint}"


def test_a_table_without_a_stream_is_refused_with_the_command_that_enables_it(local: Fleet) -> None:
    local.create_state()
    local.create_table(stream=False)
    message, hint = refused(local)
    assert "'orders' has no stream" in message
    assert hint.startswith("aws dynamodb update-table --table-name orders --stream-specification ")
    assert hint.endswith(
        f"StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES --endpoint-url {local.endpoint}"
    )


def test_an_endpoint_that_does_not_answer_is_told_before_anything_begins(local: Fleet) -> None:
    local.create_state()
    local.server.end(TERM)
    message, hint = refused(local)
    assert f"127.0.0.1:{local.port}" in message
    assert hint


@pytest.mark.parametrize(
    ("handler", "word"),
    [
        ("@app.on(orders, once=True)\ndef other(change: Change) -> None: ...\n", "once=True"),
        (
            "@app.on(orders)\ndef other(change: Change) -> None:\n"
            '    change.transaction.put(orders, {"id": "x"})\n',
            "change.transaction",
        ),
    ],
)
def test_effects_without_a_table_for_marks_are_refused_and_run_with_one(
    local: Fleet, handler: str, word: str
) -> None:
    (local.path / "app.py").write_text(f"{APP}\n\n{handler}")
    local.create_state()
    local.create_table()
    message, hint = refused(local)
    assert "'other'" in message
    assert word in message
    assert "--marks TABLE" in hint
    missing, hint = refused(local, "--marks", "marks")
    assert "marks" in missing
    code, _, said = local.run("state", "create", "dynamodb:marks", "--endpoint", local.endpoint)
    assert code == 0, said
    worker = local.worker("--marks", "marks")
    local.wait(local.write(1, 0, 1))
    eventually(lambda: local.call("Scan", {"TableName": "marks"})["Count"] > 1)  # its format, and marks
    assert worker.end(TERM)[0] == 0


def test_state_beside_the_tables_keeps_the_marks_too(local: Fleet) -> None:
    handler = """

@app.on(orders, id="copy")
def copy(change: Change) -> None:
    if change.new["id"] != "copies":
        change.transaction.update(orders, {"id": "copies"}, "ADD made :one", values={":one": 1})
"""
    (local.path / "app.py").write_text(APP + handler)
    local.state = ["--state", "dynamodb:kept"]
    local.run("state", "create", "dynamodb:kept", "--endpoint", local.endpoint)
    local.create_table()
    worker = local.worker()
    local.write(2, 0, 3)
    copies = {"TableName": "orders", "Key": {"id": {"S": "copies"}}}
    eventually(lambda: local.call("GetItem", copies).get("Item", {}).get("made") == {"N": "6"})
    assert worker.end(TERM)[0] == 0


def test_a_table_of_something_else_is_no_place_for_marks(local: Fleet) -> None:
    """As for `--marks`: another app's table is refused by name before anything is written to it."""
    local.create_state()
    local.create_table()
    (local.path / "elsewhere.py").write_text(
        f"{APP}\nimport boto3\n\n"
        f"app.transactions(boto3.client('dynamodb', endpoint_url={local.endpoint!r}), 'orders')\n"
    )
    code, said = local.worker(app="elsewhere.py").end()
    assert code == 1
    assert "dynamodb:orders: its keys are id HASH S; state needs pk HASH S, sk RANGE S" in said
    assert local.call("Scan", {"TableName": "orders"})["Items"] == []
