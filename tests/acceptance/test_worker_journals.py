"""`tailrace worker` and journals: several real processes keep one journal of one table, merge it, and build a
projection from it, whoever is killed; one `tailrace serve` stands for AWS.

Rules of this file: the journal is read where it lies, by tests/unit/journal/control.py, which knows nothing
of Tailrace.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.fleet import KILL, TERM, Fleet, fleet
from tests.patience import until
from tests.unit.journal.control import journal_of

MERGED_BELOW = 8
"""So many small segments are left alone."""
APP = """
import time

from tailrace import App
from tailrace.app import archiving
from tailrace.projections.core import known
from tailrace.projections.run import builds

archiving.LEAST_MERGE_MS = 1  # merges come often
known.CLAIM_MS = builds.CLAIM_MS = 1_500  # and a worker that was killed is given up sooner than by default

app = App("fleet")
orders = app.table("orders", pk="id")
app.archive(orders, "history/", merge="1s")
"""
ADDED = """

@app.projection(orders, by="id", id="ever", history=True)
def ever(count: int, order: dict, sign: int) -> int:
    time.sleep(0.002)  # so long that a kill comes in the middle
    return count + (sign > 0)
"""
KEYS = 25


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Fleet]:
    """A server with a table of four shards, and state in a file."""
    with fleet(tmp_path, "--memory", "--shards", "4") as ground:
        (tmp_path / "app.py").write_text(APP)
        ground.create_state()
        ground.create_table()
        yield ground


def kept(ground: Fleet) -> Counter[tuple[str, int]]:
    """How often the journal has each write."""
    images = [orjson.loads(row["new"]) for row in journal_of(ground.path / "history").changes]
    return Counter((image["id"]["S"], int(image["n"]["N"])) for image in images)


def counts(ground: Fleet) -> dict[str, int]:
    """What the projection says."""
    where = [*ground.state, "--app", "app.py", "--endpoint", ground.endpoint]
    code, said, _ = ground.run("projection", "show", "ever", *where, "--json")
    groups = orjson.loads(said)["groups"] if code == 0 else []
    return {group["key"]["S"]: int(group["state"]["N"]) for group in groups}


@pytest.mark.slow
def test_workers_that_are_killed_keep_merge_and_build_from_one_journal(ground: Fleet) -> None:
    workers = [ground.worker() for _ in range(3)]
    written: set[tuple[str, int]] = set()
    for turn in range(4):
        written |= ground.write(KEYS, 10 * turn, 10 * turn + 10)
        if turn < 2:  # the first of them has the duty of merging
            workers.pop(0).end(KILL)
            workers.append(ground.worker())
    until(lambda: kept(ground) == Counter(written), wanted=True)
    until(lambda: len(journal_of(ground.path / "history").segments) < MERGED_BELOW, wanted=True)
    assert kept(ground) == Counter(written)
    for worker in workers:
        assert worker.end(TERM)[0] == 0
    code, said, errors = ground.run("journal", "verify", "history/", "--table", "orders")
    assert code == 0, said + errors

    (ground.path / "app.py").write_text(APP + ADDED)
    first, other = ground.worker(), ground.worker()
    until(lambda: 0 < sum(counts(ground).values()) < len(written), wanted=True)
    first.end(KILL)
    until(lambda: counts(ground), wanted={f"o{key}": 40 for key in range(KEYS)})
    assert other.end(TERM)[0] == 0
