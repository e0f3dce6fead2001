"""Mutants of what workers of a fleet agree on: leases, heartbeats, the spread of load, work done once.

Rules of this file: as in mutants.py; one for each condition that keeps two workers apart.
"""

from typing import Final

from tests.mutation.mutant import Mutant

FLEET: Final = "unit/leases/test_fleet.py"
ADOPTING: Final = "unit/leases/test_adopting.py"
LEASE: Final = "unit/leases/test_lease.py"
MEMBER: Final = "unit/leases/test_member.py"
MEMBERS: Final = "contracts/test_members.py"
BALANCE: Final = "unit/leases/test_balance.py"
STEPS: Final = "unit/runtime/test_fleet.py"
DUTIES: Final = "unit/runtime/test_duties.py"
SIMULATED: Final = "simulation/test_fleets.py::test_fleets_hold_whatever_befalls_their_members"

FLEETS: Final = (
    Mutant(
        "lease-changed-over-a-later-change", "leases/lease.py",
        'Write(lease.key, _fields(done), Equals("counter", lease.counter))',
        'Write(lease.key, _fields(done), Equals("epoch", lease.epoch))',
        "a write that was given up comes late, and a lease that was left names its former owner again",
        (LEASE,),
    ),
    Mutant(
        "own-earlier-change-taken-for-anothers", "runtime/fleet.py",
        "            lease = stands\n", "            raise\n",
        "a lease whose last change was not answered is never given back, and its shard waits",
        (STEPS,),
    ),
    Mutant(
        "changes-a-lease-that-was-taken-again", "leases/lease.py",
        "(row.owner, row.epoch) == (lease.owner, lease.epoch)", "row.owner == lease.owner",
        "what was tried under an epoch before is written under the next one of the same worker",
        (LEASE,),
    ),
    Mutant(
        "dead-before-its-time", "leases/fleet.py",
        "has_expired(asked_ms, self._members", "has_expired(heard_ms, self._members",
        "a look that was long on its way makes a living worker look dead, and its shards are read twice",
        (FLEET, SIMULATED),
    ),
    Mutant(
        "taken-from-a-living-successor", "leases/fleet.py",
        "return not lease.owner and seen.has_expired(monotonic_ms, self.duration_ms)",
        "return not lease.owner",
        "what is handed to one worker is taken by another, and moves twice",
        (FLEET, SIMULATED),
    ),
    Mutant(
        "taken-from-a-living-owner", "leases/fleet.py",
        "return not lease.owner and seen.has_expired(monotonic_ms, self.duration_ms)",
        "return seen.has_expired(monotonic_ms, self.duration_ms)",
        "a lease that has not changed hands for a while is taken from its owner",
        (FLEET, SIMULATED),
    ),
    Mutant(
        "loses-a-lease-by-an-old-look", "leases/fleet.py",
        "if row is None or row.epoch < lease.epoch:", "if row is None:",
        "a worker that has just taken a lease gives it up by what it had read before",
        (FLEET,),
    ),
    Mutant(
        "keeps-what-an-operator-has-released", "leases/fleet.py",
        "return row.epoch > lease.epoch or row.owner != lease.owner", "return row.epoch > lease.epoch",
        "`leases release` frees a lease, and its worker reads on",
        (FLEET,),
    ),
    Mutant(
        "finished-shard-names-the-dead", "leases/fleet.py",
        "is_left = bool(finished and lease.owner)", "is_left = False",
        "the lease of a finished shard is a dead worker's for ever",
        (FLEET,),
    ),
    Mutant(
        "finished-shard-does-not-say-so", "leases/fleet.py",
        "if is_stray or is_left or finished.difference(lease.finished):", "if is_stray or is_left:",
        "what continues a shard waits for a worker that has nothing to do there",
        (FLEET,),
    ),
    Mutant(
        "adopted-at-once", "leases/adopting.py",
        "monotonic_ms - since >= FREE_FOR * lease_ms", "monotonic_ms - since >= 0",
        "what is handed over is taken by a third worker, and moves twice",
        (ADOPTING,),
    ),
    Mutant(
        "adopted-where-all-agree", "leases/fleet.py",
        "return all(self._members[name].view == self.view for name in self._living)", "return False",
        "a lease is taken from a worker that is slow, and the spread is nobody's",
        (ADOPTING,),
    ),
    Mutant(
        "adopted-for-ever", "leases/adopting.py",
        "self.keys = frozenset()\n        self._free.clear()", "self._free.clear()",
        "loads stay apart after the last worker of the old version has ended",
        (ADOPTING,),
    ),
    Mutant(
        "adopted-from-the-living", "leases/adopting.py",
        "self.keys = (self.keys | due).difference(taken)", "self.keys = self.keys | due",
        "a worker waits for a shard that another one reads, and takes it when that one hands it over",
        (ADOPTING,),
    ),
    Mutant(
        "second-worker-of-a-name-goes-on", "leases/member.py",
        "if self.has_begun and counter not in self.unsure:", "if False:",
        "two processes of one name share leases, and claims cannot tell them apart",
        (MEMBER,),
    ),
    Mutant(
        "beat-counted-from-its-answer", "runtime/fleet.py",
        "heart.made(begun.monotonic_ms)", "heart.made((yield AskTime()).monotonic_ms)",
        "a worker trusts its heartbeat longer than those that watch it",
        ("contracts/test_members.py", SIMULATED),
    ),
    Mutant(
        "taken-from-one-that-is-back", "runtime/fleet.py",
        "return row is None or not fleet.has_moved(read_member(row))", "return True",
        "a worker that could not reach its state loses what it has just taken anew, and repeats it",
        (STEPS,),
    ),
    Mutant(
        "no-room-is-kept", "leases/balance.py",
        "if lease not in assigned and room[name]:", "if lease not in assigned:",
        "one worker has more than its share of the shards",
        (BALANCE,),
    ),
    Mutant(
        "duty-taken-as-it-was-not-seen", "leases/duty.py",
        'return Equals("stamp", before.stamp) if before.epoch else Absent()',
        'return Equals("v", DUTY.format) if before.epoch else Absent()',
        "two workers do at once what one is to do",
        (DUTIES,),
    ),
    Mutant(
        "duty-without-a-new-epoch", "leases/duty.py",
        "HeldDuty(before.key, owner, before.epoch + 1)", "HeldDuty(before.key, owner, before.epoch)",
        "who was overtaken writes on beside its successor",
        (DUTIES,),
    ),
)  # fmt: skip
