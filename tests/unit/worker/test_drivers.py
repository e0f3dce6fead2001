"""The drivers of a worker, of which there may be ten thousand: what befalls a shard looks at its own only."""

from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from tailrace.mapping.commands import LeaseTaken
from tailrace.worker.drivers import Drivers

SHARDS = 10_000


class Noted(SimpleNamespace):
    """A driver that notes what it is told."""

    def tell(self, word: object) -> None:
        self.told.append(word)

    def stop(self) -> None:
        self.told.append("stop")


def drivers(shards: int, mappings: int = 1) -> tuple[Drivers, list[Any]]:
    made, all_of = Drivers(), []
    for number in range(shards):
        for mapping in range(mappings):
            driver: Any = Noted(told=[])
            made[f"m{mapping}", "label", f"shard-{number}"] = driver
            all_of.append(driver)
    return made, all_of


def test_the_loss_of_every_lease_at_once_looks_at_each_driver_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looked at all of them for each: for longer than a heartbeat may stand still, so that all were lost
    again as soon as they had been taken.
    """
    made, all_of = drivers(SHARDS)

    def never(_: Drivers) -> NoReturn:
        raise AssertionError("all drivers are looked at for one shard")

    monkeypatch.setattr(Drivers, "items", never)
    for number in range(SHARDS):
        made.lost(("label", f"shard-{number}"))
    assert all(driver.told == [LeaseTaken()] for driver in all_of)


def test_those_of_a_shard_are_all_its_mappings_as_long_as_they_run() -> None:
    made, all_of = drivers(3, mappings=2)
    place = ("label", "shard-1")
    assert made.inside(place) == all_of[2:4]
    assert made.drain(place)
    del made["m0", "label", "shard-1"]
    assert made.inside(place) == [all_of[3]]
    assert made.of("m1") == all_of[1::2]
    del made["m1", "label", "shard-1"]
    assert (made.inside(place), made.drain(place)) == ([], False)
    assert [driver.told for driver in all_of] == [[], [], ["stop"], ["stop"], [], []]
    made["m0", "label", "shard-1"] = all_of[2]
    assert made.inside(place) == [all_of[2]]
