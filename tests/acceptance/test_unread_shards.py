"""A shard that no worker reads, as the metrics of a real worker tell it.

Rules of this file: what is to have the shard is a worker that is there by its heartbeat alone, and says in
it that it wants what the others want; it takes nothing.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

from tailrace.clocks.manual import ManualClock
from tailrace.errors import StoreError
from tailrace.leases.member import Heartbeat, Identity, read_member
from tailrace.ports import StateStore
from tailrace.rows.kinds import MEMBER
from tailrace.runtime.driver import Performer
from tailrace.runtime.fleet import beat
from tailrace.stores.state_targets import open_state
from tests.fleet import Command, fleet
from tests.patience import eventually

LEASE_S = 2
LONG_S = 4 * LEASE_S
"""Longer than two looks: the age of what waits, and none of a look."""
LAG = 'tailrace_lag_seconds{handler="note",table="orders"}'
LEFT = 'tailrace_retention_left_seconds{handler="note",table="orders"}'
PROGRESS = 'tailrace_last_progress_timestamp_seconds{handler="note",table="orders"}'
UNOWNED = 'tailrace_shards{state="unowned",table="orders"}'

READ = 'tailrace_shards{state="read",table="orders"}'


@contextlib.contextmanager
def a_worker_that_takes_nothing(path: Path) -> Iterator[None]:
    """One that every other worker believes in, and whose weight gives it every shard."""
    over = Event()

    async def living() -> None:
        clock = ManualClock()
        state: StateStore = await open_state(f"sqlite:{path}", clock, "ghost")
        heart = Heartbeat("fleet", Identity("ghost", weight=1_000, lease_ms=LEASE_S * 1_000))
        while not over.is_set():
            with contextlib.suppress(StoreError):  # the file is locked just now
                for row in await state.query(MEMBER.prefix("fleet")):
                    if row.key != heart.key:
                        heart.say(read_member(row).view)
                await Performer(state, clock).perform(beat(heart))
            await asyncio.sleep(0.5)

    thread = Thread(target=lambda: asyncio.run(living()))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def figure(worker: Command, name: str) -> float | None:
    """A number of a worker's metrics; None where it is absent."""
    _, text = worker.get("/metrics")
    values = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(values[0]) if values else None


def test_what_waits_in_a_shard_that_no_worker_takes_is_in_the_lag_of_one(tmp_path: Path) -> None:
    with fleet(tmp_path) as ground:
        ground.create_state()
        ground.create_table()
        with a_worker_that_takes_nothing(tmp_path / "state.db"):
            ground.write(1, 0, 1)
            worker = ground.worker("--lease", f"{LEASE_S}s")
            said = lambda: worker.get("/metrics")[1]  # noqa: E731
            eventually(lambda: figure(worker, UNOWNED) == 1, said)
            assert figure(worker, LAG) is not None, "it is never absent"
            eventually(lambda: (figure(worker, LAG) or 0) > LONG_S, said)
            assert 0 < (figure(worker, LEFT) or 0) < 86_400 - LONG_S
            assert figure(worker, PROGRESS) is not None
            assert ground.handled() == []
        ground.wait({("o0", 0)})
        eventually(lambda: figure(worker, UNOWNED) == 0 and figure(worker, READ) == 1, said)
        eventually(lambda: (figure(worker, LAG) or 0) <= LONG_S, said)
