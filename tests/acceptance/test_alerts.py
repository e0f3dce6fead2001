"""Alerts of a fleet: real workers, a real receiver, one notice."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet import TERM, Fleet, fleet
from tests.patience import eventually
from tests.receiving import Receiver, receiving

APP = """
import os

from tailrace import App, Change, Retry, sinks

app = App("fleet")
orders = app.table("orders", pk="id")


@app.on(orders, retry=Retry(0))
def note(change: Change) -> None:
    with open(os.environ["SEEN"], "a") as seen:
        seen.write(f"{change.new['id']} {change.new['n']} {os.getpid()}\\n")
    raise ValueError("no address")


app.alerts(sinks.Webhook(os.environ["HOOK"]))
"""


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving() as server:
        monkeypatch.setenv("HOOK", server.url)
        yield server


def test_of_two_workers_one_tells_that_dead_letters_came(receiver: Receiver, tmp_path: Path) -> None:
    with fleet(tmp_path) as ground:
        (ground.path / "app.py").write_text(APP)
        ground.create_state()
        ground.create_table()
        parked_by(ground)
        workers = [ground.worker(), ground.worker()]
        for worker in workers:
            eventually(lambda worker=worker: worker.get("/alive")[0] == 200)
        eventually(lambda: receiver.posted)
        for worker in workers:
            assert worker.end(TERM)[0] == 0
        ((headers, body),) = receiver.posted
        notice = json.loads(body)
        assert (notice["alert"], notice["state"], notice["handler"]) == ("dead letters", "began", "note")
        assert notice["text"] == "fleet: note has more dead letters: 1 more, 1 in all"
        assert headers["webhook-id"] == notice["id"]


def parked_by(ground: Fleet) -> None:
    """A change that a worker has parked, which has ended: it had looked before."""
    worker = ground.worker()
    eventually(lambda: worker.get("/alive")[0] == 200)
    ground.wait(ground.write(1, 0, 1))
    assert worker.end(TERM)[0] == 0
