"""The trail in a test world. `pytest examples/audit_trail`."""

from datetime import datetime
from typing import Any

from audit_trail import Document, app, documents, note, trail

from tailrace.testing import World


def lines(world: World) -> list[dict[str, Any]]:
    """The trail of the document d1, in order."""
    return sorted(world.scan(trail), key=lambda line: str(line["position"]))


def test_each_change_leaves_one_line_that_tells_the_difference(world: World) -> None:
    world.use(app)
    world.put(Document(id="d1", title="Plan", edited_by="ann"))
    world.update(Document, id="d1", text="Begin.", edited_by="bob")
    world.delete(Document, id="d1")
    world.settle()
    assert [(line["what"], line["who"]) for line in lines(world)] == [
        ("INSERT", "ann"), ("MODIFY", "bob"), ("REMOVE", "somebody"),
    ]  # fmt: skip
    assert [line["fields"] for line in lines(world)] == [
        {"title": [None, "Plan"], "text": [None, ""]},
        {"text": ["", "Begin."]},
        {"title": ["Plan", None], "text": ["Begin.", None]},
    ]


def test_a_crash_repeats_no_line(world: World) -> None:
    world.use(app)
    for number in range(20):
        world.put(Document(id="d1", title=f"Draft {number}"))
    world.kill()
    world.restart()
    world.settle()
    assert len(lines(world)) == 20
    assert world.delivered(note)[-1] == "d1"


def test_a_document_that_expires_was_deleted_by_nobody(world: World) -> None:
    world.use(app)
    soon = datetime.fromtimestamp(world.clock.now().wall_ms / 1_000 + 60).astimezone()
    world.put(Document(id="d1", title="Note", expires_at=soon))
    world.advance("72h")
    world.settle()
    assert world.get(documents, {"id": "d1"}) is None
    assert [(line["what"], line["who"]) for line in lines(world)][-1] == ("REMOVE", "time to live")


def test_each_change_has_one_line_whatever_goes_wrong(world: World) -> None:
    world.use(app)
    with world.faults(duplicates=0.4, crash="anywhere", reshard="1h", throttle=0.2, seed=7):
        for number in range(12):
            world.put(Document(id="d1", title=f"Draft {number}"))
        world.settle()
    titles = [line["fields"]["title"][1] for line in lines(world)]
    assert titles == [f"Draft {number}" for number in range(12)]
