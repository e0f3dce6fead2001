"""The `checkpoint` verbs: where a handler stands in each shard, and setting it to a named position.

Rules of this file: what is set is planned first, and told as it was planned; what would be skipped is set
only when the client says so (`yes`). A projection is built anew instead, for its rows say what is in them.
Registered by `verbs`.
"""

from typing import Any, Final

from tailrace.errors import TailraceError
from tailrace.rows.kinds import AUDIT
from tailrace.runtime.driver import Performer
from tailrace.runtime.placing import NewPosition, SkippedRun, place_checkpoint
from tailrace.server.control import Arguments, Subject, verb
from tailrace.server.handlers import named
from tailrace.server.mapping_verbs import check_no_projection
from tailrace.views.checkpoints import (
    MappingPlace,
    PlannedPosition,
    PositionAt,
    check_children,
    checkpoints,
    chosen,
    number_in,
    places,
    planned,
    version_text,
)
from tailrace.views.progress import declared

FORMS: Final = "beginning, end, at:SEQUENCE, after:SEQUENCE or a time like 2026-11-28T10:00Z"


@verb("checkpoint.show", works_afar=True)
async def show(subject: Subject, arguments: Arguments) -> object:
    """Where a handler stands in each shard, by the state and by its target, where that owns the checkpoint.
    Arguments: handler, or none for all.
    """
    reading = subject.reading
    asked = None if subject.worker is None else subject.worker.targets
    if arguments.get("handler") is None:
        return [await checkpoints(reading, mapping, asked) for mapping in await declared(reading)]
    return [await checkpoints(reading, await named(subject, arguments), asked)]


@verb("checkpoint.set", changes=True, works_offline=True, works_afar=True)
async def set_position(subject: Subject, arguments: Arguments) -> object:
    """Arguments: handler, position ("beginning", "end", "at:" or "after:" a sequence number or a version, or
    milliseconds since the epoch), shard (its id; none: all), yes (also when changes would be skipped),
    dry_run. Answers each shard: where it stood and stands, what is repeated and skipped.

    Guarantee: workers that run meanwhile go on at the new position. A shard is set whole or not at all; what
               is left of the others when this fails is set by the same command again.
    """
    mapping = await named(subject, arguments)
    await check_no_projection(subject.state, mapping)
    there = await places(subject.reading, mapping)
    meant = chosen(there, arguments.get("shard"))
    position = _position(subject, arguments, meant)
    plans = await planned(subject.reading, meant, position)
    check_children(there, plans)
    is_dry, skipped = bool(arguments.get("dry_run")), sum(plan.skipped for plan in plans)
    lost = [run for plan in plans if plan.to is not None for run in plan.to.skipped]
    if lost and not is_dry and not arguments.get("yes"):
        raise TailraceError(
            f"{mapping.handler!r} has not handled {skipped} changes before that position: they would be "
            "skipped, and named in `tailrace gaps`.",
            hint=f"tailrace checkpoint set {mapping.handler} {arguments.get('position')} --dry-run shows "
            "them; --yes skips them",
        )
    values = [_value(plan) for plan in plans]
    if not is_dry:
        try:
            await _set(subject, plans, values)
        finally:
            if subject.worker is not None:
                await subject.worker.look_at_pauses()
    return {
        "handler": mapping.handler,
        "app": mapping.app,
        "table": mapping.table,
        "dry_run": is_dry,
        "repeated": sum(plan.repeated for plan in plans),
        "skipped": skipped,
        "shards": values,
    }


async def _set(subject: Subject, plans: list[PlannedPosition], values: list[dict[str, Any]]) -> None:
    """Set them, parents first. What was skipped is told as it was by then."""
    state, now_ms = subject.state, subject.clock.now().wall_ms
    owner = f"checkpoint-set-{now_ms}-{await state.count(AUDIT.prefix())}"
    performer = Performer(state, subject.clock)
    for number, (plan, value) in enumerate(zip(plans, values, strict=True)):
        if plan.to is not None:
            setting = place_checkpoint(plan.at.place, plan.to, owner, number, now_ms)
            row, skipped = await performer.perform(setting)
            value["to"] = version_text(plan.at.place.generation, row.watermark)
            value["gaps"] = [_gap_value(plan.at, run) for run in skipped]


def _value(plan: PlannedPosition) -> dict[str, Any]:
    """One shard of the answer. Shape: `to` is null where nothing changes; `window_lost`: the state of a
    tumbling window goes with its position.
    """
    at, to = plan.at, plan.to
    generation = at.place.generation
    return {
        "stream": at.place.stream_label,
        "generation": generation,
        "shard": at.place.shard_id,
        "from": None if at.row is None else version_text(generation, at.watermark),
        "to": None if to is None else version_text(generation, to.watermark),
        "finished": (at.row is not None and at.row.finished) if to is None else to.is_end,
        "repeated": plan.repeated,
        "skipped": plan.skipped,
        "gaps": [_gap_value(at, run) for run in _skipped(to)],
        "parked_keys": at.parked_keys,
        "window_lost": to is not None and at.row is not None and at.row.window is not None,
    }


def _skipped(to: NewPosition | None) -> tuple[SkippedRun, ...]:
    return () if to is None else to.skipped


def _gap_value(at: MappingPlace, run: SkippedRun) -> dict[str, Any]:
    """A run of changes that are skipped; `count` is null where the stream has lost them."""
    generation = at.place.generation
    return {
        "first": version_text(generation, run.first),
        "last": version_text(generation, run.last),
        "count": run.count or None,
        "from_ms": run.from_ms or None,
        "until_ms": run.until_ms or None,
    }


def _position(subject: Subject, arguments: Arguments, meant: list[MappingPlace]) -> PositionAt:
    """The position that is meant. Raises: TailraceError with the forms that work."""
    text = arguments.get("position")
    if isinstance(text, int) and not isinstance(text, bool):
        if text > subject.clock.now().wall_ms:
            raise TailraceError("That time is still to come.", hint="tailrace checkpoint set HANDLER end")
        return PositionAt("time", text)
    match text:
        case "beginning":
            return PositionAt("beginning")
        case "end":
            return PositionAt("end")
    name, _, number = text.partition(":") if isinstance(text, str) else ("", "", "")
    if name not in ("at", "after") or not number:
        raise TailraceError(f"There is no position {text!r}.", hint=FORMS)
    if len(meant) != 1:
        raise TailraceError(
            f"A sequence number is of one shard, and there are {len(meant)}.",
            hint=f"add --shard ID; tailrace checkpoint show {arguments.get('handler')} lists them",
        )
    (at,) = meant
    generation, is_version, sequence = number.rpartition(":")
    if is_version and generation != str(at.place.generation):
        raise TailraceError(
            f"{at.place.shard_id} is of generation {at.place.generation}, not {generation}.",
            hint=f"tailrace checkpoint show {arguments.get('handler')}",
        )
    return PositionAt("at" if name == "at" else "after", number_in(at.shard, sequence))
