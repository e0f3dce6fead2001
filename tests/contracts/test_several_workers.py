"""Several workers of one app on one state store: they rob no worker that lives, no two save under one epoch,
and nothing is stranded once faults stop.

Theory of operation: real workers over a scripted source and one state store in memory; each sees the store
through a view that can be cut off and that notes what it saved. Rules of this file: faults are chosen by a
seed; what is judged are the rows, and what the handler was given.
"""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import pytest

from tailrace.leases import lease
from tailrace.leases.lease import Lease
from tailrace.ports import Action, StateStore
from tailrace.rows.kinds import CHECKPOINT, LEASE
from tailrace.rows.writes import Write
from tailrace.runtime import starting
from tests.contracts.delivering import Delivery, Process, Without, delivered

SEEDS = range(12)


class Saves:
    """What was saved of checkpoints: by whom, under which epoch, up to where."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str, int, int]] = []

    def note(self, owner: str, writes: Sequence[Action]) -> None:
        """What a transaction held."""
        for write in writes:
            if (
                isinstance(write, Write)
                and write.fields is not None
                and write.key.startswith(CHECKPOINT.prefix())
            ):
                self.all.append(
                    (write.key, owner, int(write.fields["epoch"]), int(write.fields["watermark"]))
                )

    def complaints(self) -> Iterator[str]:
        """Two that saved under one epoch, an older epoch after a newer one, a watermark that went back."""
        owners: dict[tuple[str, int], str] = {}
        last: dict[str, tuple[int, int]] = {}
        for key, owner, epoch, watermark in self.all:
            if owners.setdefault((key, epoch), owner) != owner:
                yield f"{owner} and {owners[key, epoch]} saved {key} under epoch {epoch}"
            before = last.get(key, (0, 0))
            if (epoch, watermark) < (before[0], before[1]) or watermark < before[1]:
                yield f"{owner} saved {key} at {watermark} under epoch {epoch}, after {before}"
            last[key] = (epoch, watermark)


class View(Without):
    """The state store as one worker sees it."""

    def __init__(self, state: StateStore, owner: str, saves: Saves) -> None:
        super().__init__(state)
        self._owner = owner
        self._saves = saves

    async def transact(self, writes: Sequence[Action]) -> None:
        await super().transact(writes)
        self._saves.note(self._owner, writes)


class Fleet:
    """Some workers over one delivery."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.saves = Saves()
        self.views: dict[str, View] = {}
        self.running: dict[str, Process] = {}
        self.written: dict[str, list[int]] = {}
        self._started = 0

    def start(self) -> str:
        """One more worker. Returns: its name."""
        self._started += 1
        owner = f"worker-{self._started}"
        view = self.views[owner] = View(self.delivery.state, owner, self.saves)
        self.running[owner] = self.delivery.start(owner, view)
        return owner

    async def kill(self, owner: str) -> None:
        """End one without a word."""
        await self.running.pop(owner).kill()

    async def stop(self, owner: str) -> None:
        """End one in good order."""
        await self.running.pop(owner).stop()

    def write(self, key: str) -> None:
        """A change of an item."""
        numbers = self.written.setdefault(key, [])
        numbers.append(self.delivery.source.write(key, n=len(numbers)))

    async def owners(self) -> set[str]:
        """Who holds leases."""
        rows = await self.delivery.state.query(LEASE.prefix("shop"))
        return {str(row.fields["owner"]) for row in rows}

    def check(self) -> None:
        """Every change was handled, those of an item in order, and every save was one that was allowed."""
        assert list(self.saves.complaints()) == []
        for key, numbers in self.written.items():
            handled = list(dict.fromkeys(self.delivery.noted.of(key)))
            assert handled == numbers, f"{key}: handled {handled} of {numbers}"


def told(story: Callable[[Fleet], Any]) -> None:
    """Run a story of a fleet."""

    async def tell(delivery: Delivery) -> None:
        delivery.source.begin(2)
        fleet = Fleet(delivery)
        await story(fleet)
        for owner in list(fleet.running):
            await fleet.stop(owner)

    delivered(tell)


def test_who_comes_second_robs_nobody_and_is_given_its_share_once_it_is_believed_in() -> None:
    async def story(fleet: Fleet) -> None:
        first = fleet.start()
        await fleet.delivery.rest(2)
        second = fleet.start()
        for number in range(10):
            fleet.write(f"o{number}")
        await fleet.delivery.rest(9)
        assert await fleet.owners() == {first}
        assert {epoch for _, _, epoch, _ in fleet.saves.all} == {1}
        await fleet.delivery.rest(10)
        assert await fleet.owners() == {first, second}
        for number in range(10):
            fleet.write(f"o{number}")
        await fleet.delivery.rest(10)
        assert fleet.delivery.noted.repeated() == []
        fleet.check()

    told(story)


def test_who_comes_second_goes_on_when_the_first_dies() -> None:
    async def story(fleet: Fleet) -> None:
        first = fleet.start()
        await fleet.delivery.rest(2)
        second = fleet.start()
        fleet.write("o1")
        await fleet.delivery.rest(2)
        await fleet.kill(first)
        fleet.write("o1")
        await fleet.delivery.rest(5)
        assert await fleet.owners() == {first}, "as far as the rows tell it lives"
        await fleet.delivery.rest(20)
        assert await fleet.owners() == {second}
        fleet.check()

    told(story)


def test_who_stops_in_good_order_leaves_its_shards_at_once() -> None:
    async def story(fleet: Fleet) -> None:
        first = fleet.start()
        await fleet.delivery.rest(2)
        second = fleet.start()
        await fleet.delivery.rest(2)
        await fleet.stop(first)
        fleet.write("o1")
        await fleet.delivery.rest(3)
        assert await fleet.owners() == {second}
        fleet.check()

    told(story)


def test_who_lost_its_leases_comes_back_when_the_other_dies() -> None:
    async def story(fleet: Fleet) -> None:
        first = fleet.start()
        await fleet.delivery.rest(2)
        second = fleet.start()
        fleet.views[first].is_cut = True
        await fleet.delivery.rest(30)
        assert await fleet.owners() == {second}
        fleet.views[first].is_cut = False
        fleet.write("o1")
        await fleet.delivery.rest(20)
        await fleet.kill(second)
        fleet.write("o1")
        await fleet.delivery.rest(30)
        assert await fleet.owners() == {first}
        fleet.check()

    told(story)


async def by_chance(fleet: Fleet, seed: int) -> None:
    """Cut off, kill, start and stop workers, split shards, write; then let faults stop."""
    chance = Random(seed)
    fleet.start()
    fleet.start()
    for _ in range(25):
        alive = list(fleet.running)
        match chance.randrange(8):
            case 0 if len(alive) < 3:
                fleet.start()
            case 1 if len(alive) > 1:
                await fleet.kill(chance.choice(alive))
            case 2 if len(alive) > 1:
                view = fleet.views[chance.choice(alive)]
                view.is_cut = not view.is_cut
            case 3:
                shards = fleet.delivery.source.open_shards
                if len(shards) < 5:
                    fleet.delivery.source.split(chance.choice(shards))
            case _:
                for _ in range(chance.randrange(1, 6)):
                    fleet.write(f"o{chance.randrange(6)}")
        await fleet.delivery.rest(chance.choice((1, 3, 12)))
    for view in fleet.views.values():
        view.is_cut = False
    await fleet.delivery.rest(60)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_stranded_whatever_happens_to_them(seed: int) -> None:
    async def story(fleet: Fleet) -> None:
        await by_chance(fleet, seed)
        fleet.check()
        for key in fleet.written:
            fleet.write(key)
        await fleet.delivery.rest(5)
        fleet.check()

    told(story)


def without_a_new_epoch(key: str, fields: Any, owner: str, above: int = 0) -> tuple[Lease, Write]:
    """A lease that is taken under the epoch that was there."""
    taken, write = lease.take(key, fields, owner, above)
    if fields is None or write.fields is None:
        return taken, write
    same = Lease(key, owner, taken.counter, fields["epoch"])
    return same, Write(key, {**write.fields, "epoch": same.epoch}, write.condition)


def test_two_that_save_under_one_epoch_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "take", without_a_new_epoch)
    complaints: list[str] = []

    async def story(fleet: Fleet) -> None:
        await by_chance(fleet, seed=3)
        complaints.extend(fleet.saves.complaints())

    told(story)
    assert any("under epoch" in words for words in complaints)


def test_a_worker_that_never_looks_again_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.leases.fleet.Fleet.may_take", lambda *_: False)

    async def story(fleet: Fleet) -> None:
        first = fleet.start()
        await fleet.delivery.rest(2)
        fleet.start()
        await fleet.kill(first)
        fleet.write("o1")
        await fleet.delivery.rest(30)
        with pytest.raises(AssertionError, match="handled"):
            fleet.check()

    told(story)
