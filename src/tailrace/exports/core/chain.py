"""Which exports join to a chain: one full export, then incremental ones, each from where the last one ends.

Theory of operation: a full export is the table at one moment; an incremental one says what items became in a
window, from its first moment to before its last. One that begins where the other ends may follow it. AWS
takes times to the second and may tell the moment of a full export to the millisecond, so within one second
they join: what is told twice is the same. Anything else is refused: a gap loses changes, and what overlaps
could tell an older state after a newer one. Of several chains that reach far enough the one with the newest
full export is taken, and of its exports as few as possible.
Rules of this file: pure; a refusal names both exports and the command that makes the one that is missing.
Units: microseconds since the epoch. Source: analytics §2.1, §8; growth §4.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from tailrace.errors import Refused
from tailrace.exports.core.manifest import ExportSummary, spoken_us

SECOND_US: Final = 1_000_000
SHORTEST_US: Final = 15 * 60 * SECOND_US
LONGEST_US: Final = 24 * 3_600 * SECOND_US
"""Of the window of an incremental export, as AWS makes them."""


class ExportChain(Struct, frozen=True):
    """Exports to be read one after the other.

    Shape:   the full one, and those that follow it, in their order.
    Guarantee: together they tell the table as it was at `end_us`, every item once or in its order.
    """

    full: ExportSummary
    incrementals: tuple[ExportSummary, ...] = ()

    @property
    def exports(self) -> tuple[ExportSummary, ...]:
        """All of them, in the order in which they are read."""
        return (self.full, *self.incrementals)

    @property
    def end_us(self) -> int:
        """The moment up to which they tell everything; what was written at it is told by none."""
        return self.exports[-1].to_us


def joined(exports: Sequence[ExportSummary]) -> ExportChain:
    """The chain of exports in the order that was given. Raises: Refused where two do not join."""
    if not exports:
        raise Refused("a chain begins with a full export, and there is none", hint=full_command(None))
    full, *rest = exports
    if not full.is_full:
        raise Refused(
            f"a chain begins with a full export, and {_named(full)} is an incremental one",
            hint=full_command(full),
        )
    if (fault := _fault_of(full)) is not None:
        raise Refused(
            f"a chain begins with a full export, and of {_named(full)} {fault}", hint=full_command(full)
        )
    previous = full
    for export in rest:
        _check_step(previous, export)
        previous = export
    return ExportChain(full, tuple(rest))


def chain_up_to(
    exports: Sequence[ExportSummary], wanted_us: int, *, table_id: str | None = None
) -> ExportChain:
    """The shortest chain that tells the table up to a moment or further: the horizon of its stream, behind
    which the stream itself tells what came.

    Shape:   `exports` in any order; `table_id` says whose they must be, where it is known.
    Raises:  Refused naming what is there, what is missing, and the command that exports it.
    """
    exports = _of_one_table(exports, table_id)
    whole = [one for one in exports if _fault_of(one) is None]
    fulls = sorted((one for one in whole if one.is_full), key=lambda one: one.to_us, reverse=True)
    if not fulls:
        raise _without_full(exports)
    steps = [one for one in whole if not one.is_full]
    for full in fulls:
        chain = _walked(full, steps, wanted_us)
        if chain.end_us >= wanted_us:
            return chain
    furthest = furthest_chain(exports)
    assert furthest is not None
    raise _too_short(furthest, exports, wanted_us)


def furthest_chain(exports: Sequence[ExportSummary]) -> ExportChain | None:
    """The chain of one table's exports that tells the latest state; None without a full export. Of several
    the one with the fewest exports.
    """
    whole = [one for one in exports if _fault_of(one) is None]
    steps = [one for one in whole if not one.is_full]
    chains = [_walked(one, steps, None) for one in whole if one.is_full]
    return max(chains, key=lambda chain: (chain.end_us, -len(chain.incrementals)), default=None)


def _walked(full: ExportSummary, steps: Sequence[ExportSummary], wanted_us: int | None) -> ExportChain:
    """The chain from a full export that ends soonest at the wanted moment or behind it, else the furthest.

    Ends are walked from the earliest on, each with the fewest exports that reach it.
    """
    reached: dict[int, tuple[ExportSummary, ...]] = {full.to_us: ()}
    waiting = {full.to_us}
    while waiting:
        end = min(waiting)
        waiting.remove(end)
        if wanted_us is not None and end >= wanted_us:
            return ExportChain(full, reached[end])
        for step in steps:
            if not _joins(end, step) or step.to_us <= end:
                continue
            path = (*reached[end], step)
            if step.to_us not in reached or len(path) < len(reached[step.to_us]):
                waiting.add(step.to_us)
                reached[step.to_us] = path
    return ExportChain(full, reached[max(reached)])


def _joins(end_us: int, export: ExportSummary) -> bool:
    """Whether an incremental export begins in the second, and not after the moment, in which something
    ends.
    """
    assert export.from_us is not None
    return end_us - end_us % SECOND_US <= export.from_us <= end_us


def _check_step(previous: ExportSummary, export: ExportSummary) -> None:
    """Raises: Refused for an export that cannot follow the other, naming both."""
    both = f"{_named(export)} cannot follow {_named(previous)}"
    if export.table_arn != previous.table_arn:
        raise Refused(f"{both}: it is of another table, {export.table_arn}", hint=next_command(previous))
    if export.table_id != previous.table_id:
        raise Refused(
            f"{both}: the table was deleted and created in between (TableId {previous.table_id}, then "
            f"{export.table_id})",
            hint=full_command(export),
        )
    if export.is_full or export.from_us is None:
        raise Refused(f"{both}: it is a full export, and begins a chain of its own")
    if (fault := _fault_of(export)) is not None:
        raise Refused(f"{both}: {fault}", hint=next_command(previous))
    if _joins(previous.to_us, export):
        return
    if export.from_us > previous.to_us:
        raise Refused(
            f"{both}: changes from {spoken_us(previous.to_us)} to {spoken_us(export.from_us)} are in neither",
            hint=next_command(previous, export.from_us),
        )
    if export.to_us <= previous.to_us:
        raise Refused(f"{both}: it ends before; exports are read in the order of their times")
    raise Refused(
        f"{both}: both tell the changes from {spoken_us(export.from_us)} to {spoken_us(previous.to_us)}",
        hint=next_command(previous, export.to_us),
    )


def _fault_of(export: ExportSummary) -> str | None:
    """What keeps an export out of every chain; None: nothing."""
    if export.is_filtered:
        return "only what its filter let through is in it"
    if export.from_us is None:
        return None
    window = export.to_us - export.from_us
    if SHORTEST_US <= window <= LONGEST_US:
        return None
    minutes = window / 60 / SECOND_US
    return f"its window of {minutes:,.1f} minutes is none that AWS makes (15 minutes to 24 hours)"


def _of_one_table(exports: Sequence[ExportSummary], table_id: str | None) -> list[ExportSummary]:
    """Those of the table that is meant. Raises: Refused where it is not known which, or there are none."""
    chosen = [one for one in exports if table_id is None or one.table_id == table_id]
    if exports and not chosen:
        raise Refused(
            f"no export of TableId {table_id}: {_named(exports[0])} is of TableId {exports[0].table_id}; a "
            "table that was deleted and created again is another one",
            hint=full_command(exports[0]),
        )
    tables = {(one.table_arn, one.table_id): one for one in chosen}
    if len(tables) > 1:
        first, second = list(tables.values())[:2]
        raise Refused(
            f"exports of {len(tables)} tables: {_named(first)} has TableId {first.table_id}, "
            f"{_named(second)} has {second.table_id}",
            hint="name a place that holds those of one table, or the table's id",
        )
    return chosen


def _without_full(exports: Sequence[ExportSummary]) -> Refused:
    """Why nothing begins a chain."""
    if not exports:
        return Refused("no export that has finished", hint=full_command(None))
    filtered = next((one for one in exports if one.is_full), None)
    if filtered is not None:
        return Refused(
            f"no full export of all items: of {_named(filtered)} {_fault_of(filtered)}",
            hint=full_command(filtered),
        )
    return Refused(
        f"no full export: what {len(exports)} incremental ones say changes nothing that is known",
        hint=full_command(exports[0]),
    )


def _too_short(chain: ExportChain, exports: Sequence[ExportSummary], wanted_us: int) -> Refused:
    """Why no chain reaches the wanted moment: what lies behind the end of the furthest one."""
    last = chain.exports[-1]
    words = f"the exports end too early: {_named(last)} tells the table up to {spoken_us(chain.end_us)}"
    behind = [
        one for one in exports if not one.is_full and one.to_us > chain.end_us and one not in chain.exports
    ]
    following = min(behind, key=lambda one: (one.from_us or 0, one.to_us), default=None)
    to_us = wanted_us
    if following is not None:
        try:
            _check_step(last, following)
        except Refused as error:
            words = str(error.args[0])
        gap = (following.from_us or 0) - chain.end_us
        to_us = (following.from_us or 0) if gap >= SHORTEST_US else following.to_us
    return Refused(
        f"{words}; a chain up to {spoken_us(wanted_us)} is needed, for the stream tells only what came later",
        hint=next_command(last, to_us),
    )


# ---- commands ----------------------------------------------------------------------------------------------


def next_command(last: ExportSummary, to_us: int | None = None) -> str:
    """The command that exports what follows an export. Shape: up to a moment, or as far as one window
    reaches: at least 15 minutes and at most 24 hours.
    """
    start = last.to_us - last.to_us % SECOND_US
    window = LONGEST_US if to_us is None else -(-(to_us - start) // SECOND_US) * SECOND_US
    end = start + max(SHORTEST_US, min(LONGEST_US, window))
    return (
        f"aws dynamodb export-table-to-point-in-time --table-arn {last.table_arn}{_bucket(last)} "
        f"--export-format {last.format} --export-type INCREMENTAL_EXPORT "
        "--incremental-export-specification "
        f"ExportFromTime={start // SECOND_US},ExportToTime={end // SECOND_US},"
        "ExportViewType=NEW_AND_OLD_IMAGES"
    )


def full_command(like: ExportSummary | None) -> str:
    """The command that exports a whole table: the one that another export is of."""
    arn = "TABLE_ARN" if like is None else like.table_arn
    where = " --s3-bucket BUCKET" if like is None else _bucket(like)
    return f"aws dynamodb export-table-to-point-in-time --table-arn {arn}{where}"


def _bucket(export: ExportSummary) -> str:
    prefix = f" --s3-prefix {export.prefix}" if export.prefix else ""
    return f" --s3-bucket {export.bucket or 'BUCKET'}{prefix}"


def _named(export: ExportSummary) -> str:
    kind = "full" if export.is_full else "incremental"
    return f"{kind} export {export.export_id or 'without a name'} of {export.table} ({export.times})"
