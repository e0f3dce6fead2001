"""Which worker of a fleet is to have which lease: every worker computes the same answer from the same list.

Theory of operation: rendezvous hashing with bounded loads. A hash of both names says how much a lease and a
worker want each other; of all pairs the one that wants most comes first, unless the lease has a worker or the
worker has no more room: a stable matching. The room of a worker is its share by weight, rounded up, so that
no load is above it, and what a worker leaves behind is spread over all others. A worker that joins or leaves
moves little more than what it gets or had (half more with some dozens of leases, a tenth more with a
thousand).
Rules of this file: pure; no answer depends on the order in which anything is given, on Python's seed of
hashes, or on who had a lease before. Called by worker/leasing.py. Source: growth §3.2; Mirrokni, Thorup and
Zadimoghaddam, Consistent Hashing with Bounded Loads.
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from hashlib import blake2b
from math import ceil, log
from typing import Final

from msgspec import Struct

from tailrace.errors import SettingsError

HASH_BYTES: Final = 8
MOST_WEIGHT: Final = 1_000
"""A worker of this weight beside one of 1 has all leases but a thousandth: more is a mistake."""


class FleetMember(Struct, frozen=True):
    """A live worker. Shape: `name` is its incarnation's; `weight` its share beside those of others, 1 to
    1,000.

    Raises: SettingsError for another weight.
    """

    name: str
    weight: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.weight <= MOST_WEIGHT:
            raise SettingsError(
                f"weight {self.weight} of worker {self.name!r} is not allowed; it is 1 to {MOST_WEIGHT:,}"
            )


def rooms(leases: int, members: Iterable[FleetMember]) -> dict[str, int]:
    """The most leases that each worker may have: its share by weight, rounded up.

    >>> rooms(10, [FleetMember("a"), FleetMember("b"), FleetMember("c", 2)])
    {'a': 3, 'b': 3, 'c': 5}
    """
    present = {member.name: member.weight for member in members}
    total = sum(present.values())
    return {name: ceil(Fraction(leases * weight, total)) for name, weight in present.items()}


def assign(leases: Iterable[str], members: Iterable[FleetMember]) -> Mapping[str, str]:
    """The worker of each lease, by the lease's name; nothing without workers.

    Shape:     `leases` are those of shards that are not finished, each once.
    Guarantee: every lease has a worker; no worker has more than its room; the same for every order of both
               lists.

    >>> assign(["shard-1", "shard-2", "shard-3"], [FleetMember("a")])["shard-2"]
    'a'
    """
    names, present = set(leases), {member.name: member for member in members}
    room = rooms(len(names), present.values())
    pairs = [(-_score(lease, member), lease, name) for lease in names for name, member in present.items()]
    assigned: dict[str, str] = {}
    for _, lease, name in sorted(pairs):
        if lease not in assigned and room[name]:
            room[name] -= 1
            assigned[lease] = name
    return assigned


def _hash(*names: str) -> int:
    """Of all names as they are, however they are put together. Shape: 1 to 2^64."""
    text = "".join(f"{len(name)}:{name}" for name in names)
    return 1 + int.from_bytes(blake2b(text.encode(), digest_size=HASH_BYTES).digest(), "big")


def _score(lease: str, member: FleetMember) -> float:
    """How much a lease and a worker want each other. Of many leases a worker wins its share by weight.

    Source: weighted rendezvous hashing (Resch): weight / -ln(hash as a fraction of 1).
    """
    return member.weight / -log(_hash(lease, member.name) / (1 + 256**HASH_BYTES))
