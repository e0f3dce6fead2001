"""`tailrace plan` as it is typed: described and recorded traffic, sweeps, prices, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import tailrace
from tests.crash.node import Node, free_port
from tests.patience import eventually
from tests.terminal import on_terminal

APP = """
from pathlib import Path

from tailrace import App, Change

app = App("shop")
orders = app.table("orders", pk="id")
carts = app.table("carts", pk="id")
app.archive(orders, Path(__file__).parent / "history")


@app.on(orders.inserted, concurrency=2)
def receipt(change: Change) -> None: ...


@app.on(carts)
def counted(change: Change) -> None: ...


def tally(event, context): ...


app.function(tally, orders, BatchSize=100, MemorySize=1024)
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def planned(place: Path, *arguments: str) -> dict[str, Any]:
    answer = tailrace("plan", *arguments, "--app", "app.py", "--json", cwd=place)
    assert answer.returncode == 0, answer.stderr
    value: dict[str, Any] = json.loads(answer.stdout)
    return value


def refused(place: Path, *arguments: str) -> str:
    answer = tailrace("plan", *arguments, cwd=place)
    assert answer.returncode in (1, 2), answer.stdout
    assert answer.stdout == ""
    return answer.stderr


def test_a_handler_is_planned_as_it_is(place: Path) -> None:
    answer = tailrace(
        "plan", "receipt", "--rate", "50/s", "--for", "10s", "--duration", "20ms", "--app", "app.py",
        cwd=place,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    for words in ("receipt ← orders: order='key', by 1 worker, 1 shard", "50/s of uniform:10000",
                  "20ms a change", "LAG P50", "over time", "keeps up", "US dollars a month"):  # fmt: skip
        assert words in answer.stdout
    assert "\x1b" not in answer.stdout


def test_a_sweep_says_where_more_stops_helping(place: Path) -> None:
    arguments = ("tally", "--rate", "400/s", "--for", "15s", "--duration", "50ms", "--keys", "hot:60%:50",
                 "--shards", "2", "--sweep", "ParallelizationFactor=1,4,10", "BatchSize=1,10")  # fmt: skip
    answer = planned(place, *arguments)
    assert [setting["values"] for setting in answer["settings"]] == [
        {"ParallelizationFactor": factor, "BatchSize": size} for factor in (1, 4, 10) for size in (1, 10)
    ]
    assert {knee["beside"] for knee in answer["stops_helping"]} == {"BatchSize=1", "BatchSize=10"}
    assert answer["stops_helping"][0]["cause"] == "hot key"
    said = tailrace("plan", *arguments, "--app", "app.py", cwd=place).stdout
    assert "more does not help" in said
    assert "item key-0 has" in said


def test_the_same_seed_says_the_same(place: Path) -> None:
    arguments = (
        "receipt",
        "--rate",
        "100/s",
        "--for",
        "5s",
        "--duration",
        "exp:20ms",
        "--keys",
        "zipf:1.1:100",
    )
    assert planned(place, *arguments) == planned(place, *arguments)
    assert planned(place, *arguments, "--seed", "2") != planned(place, *arguments)


def test_a_function_costs_its_calls_and_a_worker_its_reads(place: Path) -> None:
    one = ("tally", "--rate", "100/s", "--for", "20s", "--duration", "50ms", "--shards", "1")
    (setting,) = planned(place, *one)["settings"]
    cost = setting["usd_per_month"]
    times = 730 * 3_600 / 20 / 1_000_000
    seconds = setting["concurrency"]["mean"] * 20
    assert cost["lambda"] == pytest.approx(
        (setting["invocations"] * 0.2 + seconds * 16.6667) * times, rel=0.01
    )
    assert cost["polling"] == pytest.approx(setting["reads"] * 0.2 * times, rel=0.001)
    (dearer,) = planned(place, *one, "--price", "invocation=2", "--memory", "2048")["settings"]
    assert dearer["usd_per_month"]["lambda"] > 2 * cost["lambda"]


def test_shards_follow_the_rate_unless_they_are_told(place: Path) -> None:
    fast = ("receipt", "--rate", "2500/s", "--for", "1s", "--duration", "1ms")
    assert planned(place, *fast)["settings"][0]["shards"] == 3
    assert planned(place, *fast, "--item-size", "3KiB")["settings"][0]["shards"] == 8
    assert planned(place, *fast, "--shards", "2")["settings"][0]["shards"] == 2


RATE = ("--rate", "10/s", "--app", "app.py")
DURATION = ("--duration", "20ms")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("receit", *RATE, *DURATION), "'receit' is no handler of app 'shop'"),
        (("receipt", *RATE), "How long 'receipt' takes is not known"),
        (("receipt", "--app", "app.py", *DURATION), "--rate 5000/s describes it"),
        (("receipt", *RATE, *DURATION, "--recorded", "1h"), "by --rate or taken by --recorded, not both"),
        (("receipt", "--app", "app.py", "--recorded", "1h", "--for", "1m", *DURATION), "--for is of desc"),
        (("receipt", *RATE, *DURATION, "concurrency"), "'concurrency' is no setting"),
        (("receipt", *RATE, *DURATION, "--sweep", "ParallelizationFactor=1..10"), "here it is concurrency"),
        (("receipt", *RATE, *DURATION, "--on", "lambda"), "'receipt' is no function"),
        (("receipt", *RATE, *DURATION, "--keys", "zipf"), "no distribution of keys"),
        (("receipt", *RATE, "--duration", "soon"), "no length of time"),
        (("receipt", *RATE, *DURATION, "--price", "write"), "write NAME=USD"),
        (("receipt", *RATE, *DURATION, "--price", "shard=1"), "there are invocation"),
        (("receipt", *RATE, *DURATION, "--item-size", "1MB"), "409,600 bytes"),
        (("receipt", "--rate", "5/s:1m", *DURATION, "--for", "1m", "--app", "app.py"), "says how long"),
        (("receipt", "--rate", "9999999/s", "--for", "1h", *DURATION, "--app", "app.py"), "at most 50,000"),
        (("receipt", "--rate", "1/h", "--for", "1s", *DURATION, "--app", "app.py"), "no change is written"),
        (("receipt", *RATE, "--metrics", "http://127.0.0.1:1/metrics"), "could not be read"),
        (("counted", "--recorded", "1h", "--no-stream", *DURATION, "--app", "app.py"), "nothing is recorded"),
        (("receipt", "--recorded", "1h", *DURATION, "--app", "app.py"), "no journal of table orders"),
    ],
)  # fmt: skip
def test_what_cannot_be_planned_is_refused_in_words(
    place: Path, arguments: tuple[str, ...], says: str
) -> None:
    error = refused(place, *arguments)
    assert says in error
    assert "next:" in error


def test_a_terminal_sees_how_far_a_plan_is_and_a_file_only_what_it_says(place: Path) -> None:
    typed = ["-m", "tailrace", "plan", "receipt", "--rate", "2000/s", "--for", "15s", "--duration", "1ms",
             "--app", "app.py"]  # fmt: skip
    with (place / "said").open("wb") as said:
        code, shown = on_terminal(typed, cwd=place, stdout=said)
    assert (code, "receipt: planning" in shown, "changes" in shown) == (0, True, True)
    text = (place / "said").read_text()
    assert "LAG P50" in text
    assert "planning" not in text


def test_help_teaches_with_examples() -> None:
    said = tailrace("plan", "--help").stdout
    for words in ("Example: tailrace plan receipt", "zipf:S[:N]", "worker-hour", "--sweep"):
        assert words in said


# ---- beside a node -----------------------------------------------------------------------------------------


def test_beside_a_node_what_was_written_and_measured_is_what_is_planned(place: Path) -> None:
    node = Node(place, free_port(), ("dev", str(place / "app.py"), "--no-reload"))
    node.start()
    try:
        node.wait_until_answering()
        for number in range(30):
            node.call(
                "PutItem",
                {"TableName": "carts", "Item": {"id": {"S": f"c{number % 5}"}, "n": {"N": f"{number}"}}},
            )
        asked = ("counted", "--recorded", "1h", *node.place)

        def settled() -> bool:
            (handler,) = (one for one in node.status()["handlers"] if one["handler"] == "counted")
            return bool(handler["settled"].get("handled") == 30)

        eventually(settled)
        answer = planned(place, *asked)
        said = tailrace("plan", *asked, "--app", "app.py", cwd=place)
    finally:
        node.kill()
    (setting,) = answer["settings"]
    assert setting["handled"] + setting["left"] == answer["traffic"]["changes"] == 30
    assert answer["duration"].startswith("measured ")
    assert answer["traffic"]["hottest_changes"] == 6
    assert "carts, recorded in the last 1h" in said.stdout
