"""The `leases` verbs: who reads which shard, and taking a lease from its owner, for any worker to have it.

Rules of this file: a lease is freed under a new epoch, so that its owner, if it lives after all, saves
nothing more and begins anew as any other worker; that is asked for where it gave a sign of life. Registered
by `verbs`.
"""

from collections.abc import Collection, Mapping
from typing import Any

from tailrace.errors import LeaseLost, StateConflict, TailraceError
from tailrace.leases.lease import lease_key
from tailrace.ports import StateStore
from tailrace.rows.kinds import AUDIT, CHECKPOINT, words_of
from tailrace.runtime.delivering import MappingShard
from tailrace.runtime.driver import Performer
from tailrace.runtime.pages import rows
from tailrace.runtime.placing import free_lease
from tailrace.server.control import Arguments, Subject, verb
from tailrace.views.leases import WATCH_MS, lease_values, watched


@verb("leases.ls", works_afar=True)
async def ls(subject: Subject, arguments: Arguments) -> object:
    """Every lease. Arguments: watch_ms, how long a fleet is looked at to see which owners live."""
    return await _values(subject, arguments)


@verb("leases.release", changes=True, works_offline=True, works_afar=True)
async def release(subject: Subject, arguments: Arguments) -> object:
    """Arguments: shard (its id, or its stream's label, / and its id), worker (all of its leases) or dead (all
    whose owners gave no sign of life), yes (also of owners that live), watch_ms, dry_run. Answers the leases
    that are freed.

    Raises:  TailraceError when none is meant, or an owner lives and `yes` is not said.
    """
    values = [value for value in await _values(subject, arguments) if value["owner"] is not None]
    meant = [value for value in values if _is_meant(value, arguments)]
    if not meant:
        if arguments.get("dead"):
            return {"dry_run": bool(arguments.get("dry_run")), "released": []}
        names = ", ".join(sorted({f"{value['shard']} ({value['owner']})" for value in values})) or "none"
        raise TailraceError(
            f"No lease with an owner is meant; there are: {names}.", hint="tailrace leases ls"
        )
    living = sorted({value["owner"] for value in meant if value["state"] == "held"})
    is_dry = bool(arguments.get("dry_run"))
    if living and not is_dry and not arguments.get("yes"):
        raise TailraceError(
            f"{', '.join(living)} gave a sign of life: what it is at would be delivered again.",
            hint="add --yes; or end the worker, which gives its leases back by itself",
        )
    if not is_dry:
        await _free(subject, meant)
    return {"dry_run": is_dry, "released": meant}


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


async def _values(subject: Subject, arguments: Arguments) -> list[dict[str, Any]]:
    return await lease_values(subject.state, await _alive(subject, arguments), *subject.reading.scope)


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
