"""What must hold after any number of kills.

Rules of this file: it is fed only by what was observed: the notes of the writer, the items, the stream and
the effects as any client reads them. Each check returns sentences; none means that it holds.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Observed:
    """What clients saw. Shape: counter → value or values, in order."""

    sent: Mapping[str, int]
    acknowledged: Mapping[str, int]
    items: Mapping[str, int]
    records: Mapping[str, Sequence[int]]
    effects: Mapping[str, Sequence[int]]
    accepted: Mapping[str, Sequence[int]]
    parked: int
    dead_letters: int = 0


def read_notes(lines: Iterable[str]) -> tuple[dict[str, int], dict[str, int]]:
    """The highest value sent and acknowledged of each counter; a line cut off by a kill is passed over."""
    highest: dict[str, Counter[str]] = {"sent": Counter(), "acked": Counter()}
    for line in lines:
        match line.split():
            case [("sent" | "acked") as fact, counter, value] if line.endswith("\n"):
                highest[fact][counter] = max(highest[fact][counter], int(value))
    return dict(highest["sent"]), dict(highest["acked"])


def acknowledged_writes_are_there(seen: Observed) -> list[str]:
    """Every acknowledged write is in its item, and nothing that was never sent."""
    return [
        f"{counter}: acknowledged {value}, sent {seen.sent[counter]}, the item has {seen.items.get(counter)}"
        for counter, value in seen.acknowledged.items()
        if not value <= seen.items.get(counter, 0) <= seen.sent[counter]
    ]


def every_write_has_one_record(seen: Observed) -> list[str]:
    """The stream holds each value of an item exactly once, in order."""
    return _each_once_in_order("the stream", seen.items, seen.records)


def every_record_has_one_effect(seen: Observed) -> list[str]:
    """Effects in `change.transaction` are applied exactly once, in the order of the item."""
    return _each_once_in_order("the effects", seen.items, seen.effects)


def what_fails_is_parked_with_what_follows(seen: Observed) -> list[str]:
    """The handler that fails at each third value has accepted two, once, and every later one waits: none is
    lost or doubled.
    """
    first_two = {counter: min(value, 2) for counter, value in seen.items.items()}
    waiting = sum(seen.items.values()) - sum(first_two.values())
    wrong = _each_once_in_order("what was accepted", first_two, seen.accepted)
    return wrong + (
        [f"{seen.parked} changes are parked instead of {waiting}"] if seen.parked != waiting else []
    )


def nothing_is_given_up(seen: Observed) -> list[str]:
    """A kill is no failure of a record."""
    return [f"{seen.dead_letters} dead letters"] if seen.dead_letters else []


def _each_once_in_order(where: str, items: Mapping[str, int], seen: Mapping[str, Sequence[int]]) -> list[str]:
    wrong = []
    for counter, value in items.items():
        values = list(seen.get(counter, ()))
        if values != list(range(1, value + 1)):
            wrong.append(f"{counter}: {where} should hold 1 to {value}, but: {_describe(values, value)}")
    return wrong


def _describe(values: Sequence[int], last: int) -> str:
    missing = sorted(set(range(1, last + 1)) - set(values))
    repeated = sorted(value for value, times in Counter(values).items() if times > 1)
    beyond = sorted(value for value in set(values) if value > last)
    return (
        f"missing {missing[:5]}, repeated {repeated[:5]}, beyond {beyond[:5]}, in order: "
        f"{list(values) == sorted(values)}"
    )


CHECKS = (
    acknowledged_writes_are_there,
    every_write_has_one_record,
    every_record_has_one_effect,
    what_fails_is_parked_with_what_follows,
    nothing_is_given_up,
)


def violations(seen: Observed) -> list[str]:
    """Everything that does not hold."""
    return [f"{check.__name__}: {text}" for check in CHECKS for text in check(seen)]
