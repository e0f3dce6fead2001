"""What must hold of a fleet after any faults.

Rules of this file: it is fed only by what was seen from outside. Each check returns sentences; none means
that it holds.
"""

from collections import Counter, defaultdict
from itertools import pairwise
from typing import Final, TypeAlias

from tests.crash import checks as of_writes
from tests.fleets.app import BATCH, group_of
from tests.fleets.observed import CheckpointVersion, Delivery, FleetSeen

HandOver: TypeAlias = tuple[str, int]
"""A shard, and the epoch of the lease under which it was taken over."""
MAPPINGS: Final = ("note", "ledger", "sums@v1")


def _of_writes(seen: FleetSeen) -> of_writes.Observed:
    return of_writes.Observed(seen.sent, seen.acknowledged, seen.items, seen.records, seen.effects, {}, 0)


def acknowledged_writes_are_there(seen: FleetSeen) -> list[str]:
    """Every acknowledged write is in its item, and has one record in the stream."""
    observed = _of_writes(seen)
    return [
        *of_writes.acknowledged_writes_are_there(observed),
        *of_writes.every_write_has_one_record(observed),
    ]


def every_write_has_one_effect(seen: FleetSeen) -> list[str]:
    """Effects of `change.transaction` are there once, in the order of the item."""
    return of_writes.every_record_has_one_effect(_of_writes(seen))


def tallies_equal_a_recount(seen: FleetSeen) -> list[str]:
    """What was added up by handlers is what the items add up to."""
    counted: Counter[str] = Counter()
    for counter, value in seen.items.items():
        counted[group_of(counter)] += value
    return [
        f"{group}: {seen.tallies.get(group)} instead of {(value, value)}"
        for group, value in counted.items()
        if seen.tallies.get(group) != (value, value)
    ]


def projections_equal_a_recount(seen: FleetSeen) -> list[str]:
    """The projection says of each group how many counters it has, and what they come to."""
    counted: dict[str, tuple[int, int]] = {}
    for counter, value in seen.items.items():
        counters, total = counted.get(group_of(counter), (0, 0))
        counted[group_of(counter)] = (counters + 1, total + value)
    return [
        f"{group}: the projection says {seen.projected.get(group)}, the table {counted.get(group)}"
        for group in sorted({*counted, *seen.projected})
        if seen.projected.get(group) != counted.get(group)
    ]


def every_write_is_delivered_in_order(seen: FleetSeen) -> list[str]:
    """Each change came to the sink; first deliveries of an item in the order of its changes."""
    firsts: dict[str, list[int]] = defaultdict(list)
    for counter, value in dict.fromkeys((delivery.counter, delivery.value) for delivery in seen.deliveries):
        firsts[counter].append(value)
    return [
        f"{counter}: first deliveries should be 1 to {value}, but: {_difference(firsts[counter], value)}"
        for counter, value in seen.items.items()
        if firsts[counter] != list(range(1, value + 1))
    ]


def _difference(values: list[int], last: int) -> str:
    missing = sorted(set(range(1, last + 1)) - set(values))
    late = [value for before, value in pairwise(values) if value < before]
    return f"missing {missing[:5]}, late {late[:5]}"


def no_epoch_has_two_owners(seen: FleetSeen) -> list[str]:
    """What is done under an epoch is done by one process, the one that its lease names."""
    owners: dict[HandOver, set[str]] = defaultdict(set)
    for lease in seen.leases:
        if lease.owner:
            owners[lease.shard, lease.epoch].add(lease.owner)
    wrong = [f"lease of {place}: {sorted(names)}" for place, names in owners.items() if len(names) > 1]
    processes: dict[HandOver, set[int]] = defaultdict(set)
    for delivery in seen.deliveries:
        processes[delivery.shard, delivery.epoch].add(delivery.process)
    for place, numbers in processes.items():
        names = {seen.names.get(number, f"process {number}") for number in numbers}
        if names != owners[place]:
            wrong.append(f"{place} was worked in by {sorted(names)}, its lease says {sorted(owners[place])}")
    return wrong


def no_row_goes_back(seen: FleetSeen) -> list[str]:
    """Epochs rise with each taking; what a checkpoint covers stays covered, and it is written under the
    newest epoch alone.
    """
    wrong: list[str] = []
    epochs: dict[str, int] = {}
    holders: dict[str, str] = {}
    for lease in seen.leases:
        before = epochs.get(lease.shard, 0)
        is_taken = lease.owner not in ("", holders.get(lease.shard))
        if lease.epoch < before or (is_taken and lease.epoch == before):
            wrong.append(f"{lease} after epoch {before}")
        epochs[lease.shard], holders[lease.shard] = lease.epoch, lease.owner
    last: dict[tuple[str, str], CheckpointVersion] = {}
    for version in seen.checkpoints:
        place = (version.mapping, version.shard)
        earlier = last.get(place)
        if earlier is not None and not _goes_on(earlier, version):
            wrong.append(f"{version} after {earlier}")
        last[place] = version
    return wrong


def _goes_on(before: CheckpointVersion, version: CheckpointVersion) -> bool:
    bounds = [before.watermark, *(number for pair in before.ranges for number in pair)]
    is_older = version.epoch < before.epoch or version.watermark < before.watermark
    return not is_older and all(map(version.covers, bounds)) and (version.finished or not before.finished)


class Repeats:
    """What came to the sink more than once, told apart by how.

    Shape:   `taken_over`: after a hand-over, by it; `settled` of these were covered by the checkpoint that
             the new owner began with; `afterwards`: begun under an epoch when the next one's owner had begun
             already, by process, shard and epoch; `again`: within one epoch; `begun_s`: when the first batch
             of an epoch was begun.
    """

    def __init__(self, seen: FleetSeen) -> None:
        self.taken_over: dict[HandOver, list[Delivery]] = defaultdict(list)
        self.settled: list[Delivery] = []
        self.begun_s: dict[HandOver, float] = {}
        self.afterwards: dict[tuple[int, str, int], list[Delivery]] = defaultdict(list)
        self.again: list[Delivery] = []
        begun: dict[HandOver, CheckpointVersion] = {}
        for version in seen.checkpoints:
            if version.mapping == "ledger":
                begun.setdefault((version.shard, version.epoch), version)
        newest: dict[str, int] = {}
        made: dict[tuple[str, int], set[int]] = defaultdict(set)
        for delivery in seen.deliveries:
            place, epoch = (delivery.shard, delivery.epoch), newest.get(delivery.shard, 0)
            self.begun_s.setdefault(place, delivery.at_s)
            before = made[delivery.counter, delivery.value]
            if delivery.epoch < epoch:
                self.afterwards[delivery.process, *place].append(delivery)
            elif delivery.epoch in before:
                self.again.append(delivery)
            elif before:
                self.taken_over[place].append(delivery)
                if place not in begun or begun[place].covers(delivery.sequence):
                    self.settled.append(delivery)
            before.add(delivery.epoch)
            newest[delivery.shard] = max(epoch, delivery.epoch)

    def stories(self) -> list[str]:
        """Of those that went on beside the next owner: what was begun when, and by whom."""
        told: list[str] = []
        for (process, shard, epoch), deliveries in self.afterwards.items():
            begun = {taken: at_s for (other, taken), at_s in self.begun_s.items() if other == shard}
            moments = sorted({delivery.at_s for delivery in deliveries})
            told.append(
                f"in {shard}, whose epochs began to be worked in at {begun}, process {process} under epoch "
                f"{epoch} at {moments}"
            )
        return told

    @property
    def most(self) -> int:
        """The largest number of changes that one hand-over repeated."""
        return max(map(len, self.taken_over.values()), default=0)


def a_hand_over_repeats_what_was_in_flight(seen: FleetSeen) -> list[str]:
    """A new owner repeats nothing that the checkpoint covers with which it begins; one that was stopped or
    cut off goes on with no more than the batch that it had begun; and nobody repeats anything else.
    """
    repeats = Repeats(seen)
    return [
        *(f"repeated although it was settled: {delivery}" for delivery in repeats.settled[:5]),
        *(f"repeated within an epoch: {delivery}" for delivery in repeats.again[:5]),
        *(
            f"{len(deliveries)} changes by process {place[0]} after the next owner of {place[1:]} had begun"
            for place, deliveries in repeats.afterwards.items()
            if len(deliveries) > BATCH
        ),
    ]


def nothing_is_given_up(seen: FleetSeen) -> list[str]:
    """A fault of a worker is no failure of a record: nothing is parked, dead or lost, all of it is counted
    as handled, and counted once.
    """
    records = sum(seen.items.values())
    wrong = [f"rows {seen.kept_aside[:5]}"] if seen.kept_aside else []
    return wrong + [
        f"{mapping}: {seen.handled.get(mapping, 0)} records were handled, of {records}"
        for mapping in MAPPINGS
        if seen.handled.get(mapping, 0) != records
    ]


def nothing_is_stranded(seen: FleetSeen) -> list[str]:
    """While faults rested, and at the end: what is written is handled, every open shard has an owner that
    lives, every closed one is finished by everybody and has none.
    """
    wrong = list(seen.stranded)
    owners = {lease.shard: lease.owner for lease in seen.leases}
    finished = {(version.mapping, version.shard): version.finished for version in seen.checkpoints}
    for shard, is_closed in seen.shards.items():
        owner = owners.get(shard, "")
        if not is_closed and owner not in seen.live:
            wrong.append(f"open shard {shard} is held by {owner or 'no worker'}")
        if is_closed and owner:
            wrong.append(f"closed shard {shard} is held by {owner}")
        unfinished = [mapping for mapping in MAPPINGS if finished.get((mapping, shard)) is not is_closed]
        if unfinished:
            wrong.append(f"{'closed' if is_closed else 'open'} shard {shard}: wrong for {unfinished}")
    return wrong


def workers_end_when_they_are_asked(seen: FleetSeen) -> list[str]:
    """A worker ends by a kill, or whole after a request."""
    return list(seen.ends)


CHECKS: Final = (
    acknowledged_writes_are_there,
    every_write_has_one_effect,
    tallies_equal_a_recount,
    projections_equal_a_recount,
    every_write_is_delivered_in_order,
    no_epoch_has_two_owners,
    no_row_goes_back,
    a_hand_over_repeats_what_was_in_flight,
    nothing_is_given_up,
    nothing_is_stranded,
    workers_end_when_they_are_asked,
)


def violations(seen: FleetSeen) -> list[str]:
    """Everything that does not hold."""
    return [f"{check.__name__}: {text}" for check in CHECKS for text in check(seen)]
