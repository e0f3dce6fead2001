"""The `leases` verbs: who reads which shard, and having a lease leave its owner.

Theory of operation: an owner that lives is asked to drain the shard and hand it over (leases/hand_over.py),
and what becomes of that is watched; the request stands when nothing watches any more. The lease of one that
gave no sign of life is freed under a new epoch, so that it saves nothing more if it lives after all and
begins anew as any other worker. So can be that of one that lives: with `force`, for it may hang.
Rules of this file: nothing is decided about who lives but by looking twice. Registered by `verbs`.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from typing import Any, Final

from tailrace.errors import LeaseLost, StateConflict, TailraceError
from tailrace.leases.hand_over import HandOver, hand_over, spread
from tailrace.leases.lease import Lease, lease_key
from tailrace.ports import StateStore
from tailrace.rows.kinds import AUDIT, CHECKPOINT, words_of
from tailrace.runtime.delivering import MappingShard
from tailrace.runtime.driver import Performer
from tailrace.runtime.pages import rows
from tailrace.runtime.placing import free_lease
from tailrace.server.control import Arguments, Subject, verb, verb_of_values
from tailrace.views.leases import WATCH_MS, lease_values, leases, members, watched

WAIT_MS: Final = 60_000
MOST_WAIT_MS: Final = 3_600_000
LOOK_MS: Final = 500
SLICE: Final = 50
ON_THE_WAY: Final = ("draining", "left")
"""Of a lease whose new owner has not taken it yet."""


@verb("leases.ls", works_afar=True)
async def ls(subject: Subject, arguments: Arguments) -> object:
    """Every lease. Arguments: watch_ms, how long a fleet is looked at to see which owners live."""
    return await lease_values(subject.state, await _alive(subject, arguments), *subject.reading.scope)


@verb_of_values("leases.release", changes=True, works_offline=True, works_afar=True)
async def release(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: shard (its id, or its stream's label, / and its id), worker (all of its leases) or dead (all
    whose owners gave no sign of life), to (the worker that is to have them), force (take them also from
    owners that live), yes (with force), watch_ms, wait_ms (how long a hand-over is watched), dry_run.

    Answers the leases that are `released` as they stand, again whenever one of them has changed: of an owner
    that lives `draining`, `left`, and then `moved`, `elsewhere` or `finished`.
    Raises:  TailraceError when none is meant, no other worker is there, or `force` is said without `yes`.
    """
    alive = await _alive(subject, arguments)
    values = await lease_values(subject.state, alive, *subject.reading.scope)
    meant = [value for value in values if value["owner"] is not None and _is_meant(value, arguments)]
    is_dry = bool(arguments.get("dry_run"))
    if not meant:
        _check_dead(values, arguments)
        yield {"dry_run": is_dry, "released": []}
        return
    living = [value for value in meant if value["state"] == "held"]
    is_forced = bool(arguments.get("force"))
    if living and is_forced and not is_dry and not arguments.get("yes"):
        names = ", ".join(sorted({value["owner"] for value in living}))
        raise TailraceError(
            f"{names} gave a sign of life: what it is at would be delivered again.",
            hint="add --yes; or leave out --force: the worker then drains it first",
        )
    drained = [] if is_forced else living
    requests = await _requests(subject, arguments, values, alive, meant if arguments.get("to") else drained)
    if not is_dry:
        for start in range(0, len(requests), SLICE):
            await subject.state.transact([asked.write() for asked in requests[start : start + SLICE]])
        await _free(subject, [value for value in meant if value not in drained])
    async for _ in _watched(subject, [] if is_dry else drained, arguments.get("wait_ms", WAIT_MS)):
        yield {"dry_run": is_dry, "released": meant}
    yield {"dry_run": is_dry, "released": meant}


def _check_dead(values: Sequence[Mapping[str, Any]], arguments: Arguments) -> None:
    """No lease is meant. Raises: TailraceError unless those of dead workers were."""
    if arguments.get("dead"):
        return
    held = {f"{value['shard']} ({value['owner']})" for value in values if value["owner"] is not None}
    raise TailraceError(
        f"No lease with an owner is meant; there are: {', '.join(sorted(held)) or 'none'}.",
        hint="tailrace leases ls",
    )


# ---- handing over ------------------------------------------------------------------------------------------


async def _requests(
    subject: Subject,
    arguments: Arguments,
    values: Sequence[Mapping[str, Any]],
    alive: Collection[str],
    moved: Sequence[dict[str, Any]],
) -> list[HandOver]:
    """What is asked for, that leases are `moved`; each of these says then to whom it goes.

    Raises:  TailraceError when an owner that lives does not read requests, or no worker could go on.
    """
    if not moved:
        return []
    known = await members(subject.state, *subject.reading.scope)
    there = {name: member for name, member in known.items() if name in alive and member.hands_over}
    named = arguments.get("to")
    if named is not None and named not in there:
        names = ", ".join(sorted(there)) or "none"
        raise TailraceError(
            f"No worker {named!r} gave a sign of life; there are: {names}.", hint="tailrace leases ls"
        )
    owners = {value["owner"] for value in moved}
    if named in owners:
        raise TailraceError(f"{named!r} has it already.", hint="tailrace leases ls")
    for owner in sorted({value["owner"] for value in moved if value["state"] == "held"} - there.keys()):
        raise TailraceError(
            f"{owner!r} hands nothing over when it is asked to: it works alone, or is of an older version.",
            hint="end it: it gives its leases back; or --force --yes: what it is at is delivered again",
        )
    others = [member.member for name, member in there.items() if name not in owners]
    if not others:
        raise TailraceError(
            f"{', '.join(sorted(owners))} is the only worker: no other could go on with it.",
            hint="start another worker first; or --force --yes lets this one begin anew",
        )
    held = Counter(value["owner"] for value in values if value["owner"] is not None)
    keys = {lease_key(value["app"], value["stream"], value["shard"]): value for value in moved}
    chosen = dict.fromkeys(keys, str(named)) if named is not None else spread(keys, others, held)
    for key, value in keys.items():
        value["successor"] = chosen[key]
    return [
        hand_over(value["app"], value["stream"], value["shard"], chosen[key], value["owner"])
        for key, value in keys.items()
    ]


async def _watched(
    subject: Subject, drained: Sequence[dict[str, Any]], wait_ms: object
) -> AsyncGenerator[None, None]:
    """How leases come to their new owners: a value whenever one of them stands otherwise, until all have or
    the time is over.
    """
    if not isinstance(wait_ms, int) or not 0 <= wait_ms <= MOST_WAIT_MS:
        raise TailraceError("A hand-over is waited for up to an hour.", hint="--wait 5m")
    for value in drained:
        value["state"] = "draining"
    until_ms = subject.clock.now().monotonic_ms + wait_ms
    while any(value["state"] in ON_THE_WAY for value in drained):
        yield
        before = [value["state"] for value in drained]
        while before == [value["state"] for value in drained]:
            now_ms = subject.clock.now().monotonic_ms
            if now_ms >= until_ms:
                return
            await subject.clock.sleep_until(min(until_ms, now_ms + LOOK_MS))
            for app in {value["app"] for value in drained}:
                standing = await leases(subject.state, app)
                for value in drained:
                    if value["app"] == app:
                        _note(value, standing.get((value["stream"], value["shard"])))


def _note(value: dict[str, Any], lease: Lease | None) -> None:
    """How one lease stands that was held by a worker which was to leave it."""
    if lease is None or (not lease.owner and lease.finished and not lease.successor):
        value["state"], value["now"] = "finished", None
    elif lease.epoch == value["epoch"]:
        value["state"] = "draining" if lease.owner else "left"
    elif lease.owner:
        value["now"] = lease.owner
        value["state"] = "moved" if lease.owner == value["successor"] else "elsewhere"


async def _free(subject: Subject, meant: list[dict[str, Any]]) -> None:
    """Free them one by one; one that a worker takes at the same moment is another's by now."""
    state = subject.state
    name = f"leases-release-{subject.clock.now().wall_ms}-{await state.count(AUDIT.prefix())}"
    for value in meant:
        key = lease_key(value["app"], value["stream"], value["shard"])
        try:
            freeing = free_lease(key, name, await _places(state, value))
            value["epoch"] = await Performer(state, subject.clock).perform(freeing)
        except (LeaseLost, StateConflict):
            value["state"] = "taken"
    if subject.worker is not None:
        await subject.worker.look_at_pauses()


async def _places(state: StateStore, lease: Mapping[str, Any]) -> list[MappingShard]:
    """The mappings that were in a lease's shard."""
    app, place = lease["app"], [lease["stream"], lease["shard"]]
    names = [words_of(row.key) async for row in rows(state, CHECKPOINT.prefix(app))]
    return [MappingShard(app, words[2], "", *place) for words in names if words[3:] == place]


async def _alive(subject: Subject, arguments: Arguments) -> Collection[str]:
    """The owners that live: in a node those that it runs, of a fleet those that are seen to."""
    if not subject.is_far:
        return subject.engine.workers
    watch_ms = arguments.get("watch_ms", WATCH_MS)
    if not isinstance(watch_ms, int) or not 0 < watch_ms <= 60_000:
        raise TailraceError("A fleet is watched for up to a minute.", hint="tailrace leases ls --watch 5s")
    return await watched(subject.state, subject.clock, watch_ms, *subject.reading.scope)


def _is_meant(value: dict[str, Any], arguments: Arguments) -> bool:
    if arguments.get("dead"):
        return bool(value["state"] == "still")
    if arguments.get("worker") is not None:
        return bool(value["owner"] == arguments["worker"])
    return arguments.get("shard") in (value["shard"], f"{value['stream']}/{value['shard']}")
