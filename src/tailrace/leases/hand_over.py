"""Leases that an operator wants another worker to have: the requests, and who is to have what.

Theory of operation: a request is a row of its own beside the lease's, which says the worker that is to have
it. Every worker reads these rows when it looks who lives, and gives such a lease to that worker in the
assignment that all of them compute (leases/fleet.py): so the owner drains it and hands it over as it does
when a worker joins, and it does not come back at the next look. That holds as long as the worker lives which
is to have it; then the lease is assigned as any other, and the row goes.
Rules of this file: pure; the layout is docs/formats/state.md's. Written by server/lease_verbs.py.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from fractions import Fraction

from msgspec import Struct

from tailrace.leases.balance import FleetMember
from tailrace.leases.lease import lease_key
from tailrace.rows.kinds import HAND_OVER, words_of
from tailrace.rows.writes import Equals, StateRow, Write, readable


class HandOver(Struct, frozen=True):
    """A request. Shape: `lease` is the key of its lease, `to` the worker that is to have it, `leaves` the one
    that had it when it was asked for.
    """

    key: str
    lease: str
    to: str
    leaves: str = ""

    def write(self) -> Write:
        """Ask for it, whatever was asked before."""
        fields = {"v": HAND_OVER.format, "to": self.to, "leaves": self.leaves}
        return Write(self.key, fields)

    def removal(self) -> Write:
        """Forget it, unless another worker is to have the lease by now."""
        return Write(self.key, None, Equals("to", self.to))


def hand_over(app: str, stream_label: str, shard_id: str, to: str, leaves: str = "") -> HandOver:
    """A request for the lease of a shard."""
    words = (app, stream_label, shard_id)
    return HandOver(HAND_OVER.key(*words), lease_key(*words), to, leaves)


def read_hand_over(row: StateRow) -> HandOver:
    """A request as its row says it. Raises: StoreError for a row of an unknown format."""
    fields = readable(row.fields, "hand-over", HAND_OVER.format)
    _, app, label, shard_id = words_of(row.key)
    return hand_over(app, label, shard_id, fields["to"], fields["leaves"])


def spread(leases: Iterable[str], members: Iterable[FleetMember], held: Mapping[str, int]) -> dict[str, str]:
    """The worker for each lease: each time the one with least to do for its weight.

    Shape:   `held` is how many leases workers have already.

    >>> spread(["shard-1", "shard-2"], [FleetMember("b"), FleetMember("c", 4)], {"b": 1, "c": 3})
    {'shard-1': 'c', 'shard-2': 'c'}
    """
    loads, present = Counter(held), sorted(members, key=lambda member: member.name)
    chosen: dict[str, str] = {}
    for lease in sorted(leases):
        member = min(present, key=lambda member: Fraction(loads[member.name] + 1, member.weight))
        chosen[lease] = member.name
        loads[member.name] += 1
    return chosen
