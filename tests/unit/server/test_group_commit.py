"""The commit that the requests of one turn share: what fails with it, what waits for it, what is told of it.

Rules of this file: over real sockets, against a store that fails when a test says so.
"""

import json
import logging

import pytest

from tailrace.errors import StoreError
from tailrace.server.http import HttpSettings
from tests.serving import request, serving
from tests.unit.server.things import CREATE, FailingStore, get, put


@pytest.mark.parametrize("sync", ["normal", "full"])
def test_a_failed_commit_fails_every_answer_of_its_turn(sync: str, caplog: pytest.LogCaptureFixture) -> None:
    store = FailingStore()
    with serving(HttpSettings(sync=sync), store=store) as served, served.connect() as client:  # type: ignore[arg-type]
        assert client.ask(CREATE)[0] == 200
        assert client.ask(put("kept"))[0] == 200
        store.is_failing = True
        client.send(put("lost") + get("lost") + get("kept"))
        assert [client.receive()[0] for _ in range(3)] == [500, 500, 500]
        assert served.server.turns.commit_error == "the disk is full"
        assert client.ask(get("kept"))[0] == 200
        store.is_failing = False
        assert client.ask(get("lost"))[2] == b"{}"
        assert client.ask(put("again"))[0] == 200
        assert served.server.turns.commit_error is None
    assert sum(record.levelno == logging.ERROR for record in caplog.records) == 1


@pytest.mark.parametrize("sync", ["normal", "full"])
def test_a_commit_that_fails_between_two_slices_fails_the_answer(sync: str) -> None:
    store = FailingStore()
    with serving(HttpSettings(sync=sync), store=store) as served, served.connect() as client:  # type: ignore[arg-type]
        assert client.ask(CREATE)[0] == 200
        store.is_failing = True
        puts = [
            {"PutRequest": {"Item": {"pk": {"S": str(number)}, "a": {"S": "x" * 9_000}}}}
            for number in range(25)
        ]
        status, _, body = client.ask(request("BatchWriteItem", {"RequestItems": {"things": puts}}))
        assert (status, json.loads(body)["__type"]) == (
            500,
            "com.amazonaws.dynamodb.v20120810#InternalServerError",
        )
        store.is_failing = False
        for number in (0, 12, 24):
            assert client.ask(get(str(number)))[2] == b"{}"
        assert client.ask(request("BatchWriteItem", {"RequestItems": {"things": puts}}))[0] == 200
        assert served.server.slicing.slices > 5
        for number in (0, 12, 24):
            assert len(client.ask(get(str(number)))[2]) > 9_000


@pytest.mark.parametrize("sync", ["normal", "full"])
def test_requests_of_one_turn_share_a_commit(sync: str) -> None:
    store = FailingStore()
    with serving(HttpSettings(sync=sync), store=store) as served, served.connect() as client:  # type: ignore[arg-type]
        assert client.ask(CREATE)[0] == 200
        before = store.commits
        client.send(b"".join(put(f"p{number}") for number in range(50)))
        assert {client.receive()[0] for _ in range(50)} == {200}
        assert store.commits - before <= 5


@pytest.mark.parametrize("sync", ["normal", "full"])
def test_a_store_under_pressure_has_commits_held_back_and_the_loop_goes_on(sync: str) -> None:
    store = FailingStore()
    with serving(HttpSettings(sync=sync), store=store) as served, served.connect() as writer:  # type: ignore[arg-type]
        assert writer.ask(CREATE)[0] == 200
        pressed = [1e9]
        served.engine.committer.pressure_s = lambda: pressed[0]
        before = store.commits
        writer.send(put("held"))
        served.call(lambda: None)  # by now it has been read, or will be before what follows is answered
        while not served.call(lambda: served.engine.committer.is_dirty):
            pass
        assert served.call(lambda: [served.server.turns._flush() for _ in range(3)]) == [None] * 3
        assert store.commits == before, "nothing is committed, and the loop goes on"
        pressed[0] = 0.0
        assert writer.receive()[0] == 200
        pressed[0] = 0.01
        assert writer.ask(put("slow"))[0] == 200, "it is held back so long at most"


def test_a_commit_that_fails_again_and_again_is_told_now_and_then_and_its_end_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "tailrace.server")
    store = FailingStore()
    with serving(store=store) as served, served.connect() as client:
        assert client.ask(CREATE)[0] == 200
        served.call(lambda: setattr(served.server.turns, "_logged_at", served.loop.time() + 1e9 - 10))
        store.is_failing = True
        assert [client.ask(put("p"))[0] for _ in range(5)] == [500] * 5
        assert [record.levelno for record in caplog.records] == []
        served.call(lambda: setattr(served.server.turns, "_logged_at", -1e9))
        assert client.ask(put("p"))[0] == 500
        store.is_failing = False
        assert [client.ask(put("p"))[0] for _ in range(3)] == [200] * 3
    assert [record.getMessage() for record in caplog.records] == [
        "the commit failed (5 more failed since this was said)",
        "commits succeed again",
    ]


def test_answers_are_void_when_somebody_else_fails_the_group() -> None:
    store = FailingStore()
    with serving(store=store) as served, served.connect() as client:
        assert client.ask(CREATE)[0] == 200
        flush = served.server.turns._flush

        def flush_elsewhere_first() -> None:
            store.is_failing = True
            with pytest.raises(StoreError):
                served.engine.committer.flush()
            store.is_failing = False
            flush()

        served.server.turns._flush = flush_elsewhere_first  # type: ignore[method-assign]
        assert client.ask(put("p"))[0] == 500
