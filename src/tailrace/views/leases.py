"""Who reads which shard, as the lease rows say, and whether its owner lives.

Theory of operation: no row tells a time of another machine. An owner lives if its rows move while somebody
looks: its leases, or its own row in a fleet. So who wants to know looks for a while; what stood still
meanwhile may still be alive, if that was shorter than owners take between two signs of life.
Rules of this file: it only reads. Called by `status`, which says of each shard who reads it, by `top` and by
the `leases` verbs.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

from tailrace.leases.hand_over import read_hand_over
from tailrace.leases.lease import LEASE_DURATION_MS, Lease, read_lease
from tailrace.leases.member import MemberRow, read_member
from tailrace.ports import Clock, StateStore
from tailrace.rows.kinds import HAND_OVER, KINDS, LEASE, MEMBER, words_of
from tailrace.runtime.pages import rows

SIGNS: Final = tuple(kind for kind in KINDS.values() if kind.name in ("lease", "member"))
"""Kinds of rows whose `counter` moves while their owner lives."""
WATCH_MS: Final = LEASE_DURATION_MS // 3 + 1_500
"""A little longer than owners take between two signs of life."""


async def leases(state: StateStore, app: str) -> dict[tuple[str, str], Lease]:
    """Every lease of an app, by stream label and shard; one that was given back is among them."""
    by_shard: dict[tuple[str, str], Lease] = {}
    async for row in rows(state, LEASE.prefix(app)):
        _, _, label, shard_id = words_of(row.key)
        by_shard[label, shard_id] = read_lease(row.key, row.fields)
    return by_shard


async def signs(state: StateStore, *scope: str) -> dict[str, tuple[str, int]]:
    """Every row that its owner moves, of one app or of all: its owner and its counter, by key."""
    seen: dict[str, tuple[str, int]] = {}
    for kind in SIGNS:
        async for row in rows(state, kind.prefix(*scope)):
            owner = row.fields.get("owner") if kind is LEASE else words_of(row.key)[2]
            seen[row.key] = (str(owner or ""), int(row.fields["counter"]))
    return seen


async def watched(state: StateStore, clock: Clock, watch_ms: int, *scope: str) -> frozenset[str]:
    """The owners that gave a sign of life while this looked for so long. Raises: StoreError."""
    before = await signs(state, *scope)
    await clock.sleep_until(clock.now().monotonic_ms + watch_ms)
    return moved(before, await signs(state, *scope))


def moved(before: Mapping[str, tuple[str, int]], after: Mapping[str, tuple[str, int]]) -> frozenset[str]:
    """The owners of rows that are not what they were.

    >>> sorted(moved({"a": ("one", 1), "b": ("two", 5)}, {"a": ("one", 2), "b": ("two", 5), "c": ("new", 1)}))
    ['new', 'one']
    """
    seen = {owner for key, (owner, counter) in after.items() if before.get(key) != (owner, counter)}
    return frozenset(seen - {""})


async def lease_values(state: StateStore, alive: Collection[str], *scope: str) -> list[dict[str, Any]]:
    """Every lease as `tailrace leases ls --json` has it, by its key. Shape: `state` is "held" by one of the
    `alive`, "still" of an owner that gave no sign of life, "free" without an owner; `successor` is the worker
    that it was handed to, or that an operator wants to have it.
    """
    values = []
    asked = {
        request.lease: request.to
        async for row in rows(state, HAND_OVER.prefix(*scope))
        for request in [read_hand_over(row)]
    }
    async for row in rows(state, LEASE.prefix(*scope)):
        _, app, label, shard_id = words_of(row.key)
        lease = read_lease(row.key, row.fields)
        held = "held" if lease.owner in alive else "still"
        values.append(
            {
                "app": app,
                "stream": label,
                "shard": shard_id,
                "owner": lease.owner or None,
                "state": held if lease.owner else "free",
                "epoch": lease.epoch,
                "successor": lease.successor or _unless(lease.owner, asked.get(row.key)),
                "finished": list(row.fields.get("finished", ())),
            }
        )
    return values


def _unless(owner: str, to: str | None) -> str | None:
    return None if to == owner else to


async def members(state: StateStore, *scope: str) -> dict[str, MemberRow]:
    """The workers of fleets by their names, whether they live or not."""
    known = {}
    async for row in rows(state, MEMBER.prefix(*scope)):
        member = read_member(row)
        known[member.identity.name] = member
    return known
