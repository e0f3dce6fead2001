"""Where a handler stands, and where it would stand: its checkpoints by shard, and what setting them to a
named position would repeat and skip.

Theory of operation: a position is looked for in what can be read of a shard now: what was saved from its
trim, then the stream. Where the mapping stands before it, what lies between and is not settled is skipped;
where it stands behind it, what is settled after it is repeated. Changes are counted one by one, as far as the
two are apart.
Rules of this file: it only reads, through the ports; what is set is runtime/placing.py's. Called by the
`checkpoint` verbs.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, Protocol, TypeAlias

from msgspec import Struct, field

from tailrace.deadletters.core.evacuated import Evacuation, read_evacuated
from tailrace.deadletters.views.letters import heads
from tailrace.errors import PortError, TailraceError
from tailrace.leases.checkpoint import EVERY_HASH, CheckpointRow, read_row
from tailrace.leases.generation import Generations, read_generations, sources_key
from tailrace.leases.lease import Lease
from tailrace.ports import LogReader, Shard, TargetPosition
from tailrace.rows.kinds import CHECKPOINT, LEDGER
from tailrace.runtime.beginning import is_wanted
from tailrace.runtime.delivering import MappingShard
from tailrace.runtime.pages import rows
from tailrace.runtime.placing import MOST_RUNS, NewPosition, SkippedRun
from tailrace.runtime.watermark import MappingName, evacuations, followed
from tailrace.streams.record import OF_OTHERS, SEQUENCE_DIGITS, ChangeRecord, SequenceNumber
from tailrace.views.leases import leases
from tailrace.views.reading import ViewSources

PAGE: Final = 1_000
"""Records of one read."""
EMPTY_READS: Final = 5
"""A shard may answer so many pages without a record before it counts as one that has no more."""

PositionName: TypeAlias = Literal["beginning", "end", "time", "at", "after"]


class PositionAt(Struct, frozen=True):
    """A position by its name.

    Shape:   `number` is of "time" milliseconds since the epoch, of "at" and "after" a sequence number; the
             change with that number is the first one after "at", the last one before "after".
    """

    name: PositionName
    number: int = 0

    def is_reached(self, record: ChangeRecord) -> bool:
        """Whether a record comes after the position."""
        match self.name:
            case "beginning":
                return True
            case "end":
                return False
            case "time":
                return is_wanted(record, self.number)
            case "at":
                return record.sequence >= self.number
            case "after":
                return record.sequence > self.number


class MappingPlace(Struct, frozen=True):
    """A handler in one shard as its rows say it. Shape: `row` is None where it has not begun; `saved` was
    saved of the shard from its trim.
    """

    place: MappingShard
    shard: Shard
    row: CheckpointRow | None
    saved: Evacuation | None
    parked_keys: int = 0

    @property
    def watermark(self) -> int:
        """The last record before which everything is settled."""
        return self.shard.first - 1 if self.row is None else self.row.watermark

    def is_settled(self, record: ChangeRecord) -> bool:
        """Whether the handler is done with a record."""
        if self.row is None:
            return False
        return record.sequence <= self.row.watermark or any(
            first <= record.sequence <= last for first, last in self.row.ranges
        )

    @property
    def furthest(self) -> int:
        """The last record that may be settled."""
        ends = [] if self.row is None else [last for _, last in self.row.ranges]
        return max([self.watermark, *ends])


class PlannedPosition(Struct, frozen=True):
    """What setting one shard would do. Shape: `to` is None where nothing would change; `repeated` and
    `skipped` count changes.
    """

    at: MappingPlace
    to: NewPosition | None
    repeated: int = 0

    @property
    def skipped(self) -> int:
        """Changes that would be passed over."""
        return 0 if self.to is None else sum(run.count for run in self.to.skipped)


# ---- where it stands ---------------------------------------------------------------------------------------


async def places(reading: ViewSources, mapping: MappingName) -> list[MappingPlace]:
    """Every shard that can still be read of the streams that a handler follows, the oldest stream first,
    parents before children. Raises: SourceError, StoreError.
    """
    state, log = reading.state, reading.log
    numbers = await _generations(reading, mapping)
    kept = {row.key: row.fields async for row in rows(state, CHECKPOINT.prefix(mapping.app, mapping.handler))}
    older = {row.key: row.fields async for row in rows(state, LEDGER.prefix(mapping.app, mapping.handler))}
    saved = await evacuations(state, mapping)
    there: dict[tuple[str, str], Shard] = {}
    for stream in await followed(state, log, mapping):
        there |= {(stream.label, shard.shard_id): shard for shard in await log.shards(stream)}
    there = {place: evacuation.shard for place, evacuation in saved.items()} | there
    parked: dict[tuple[str, str], int] = {}
    for head in await heads(state, mapping.app, mapping.handler):
        parked[head.stream, head.shard_id] = parked.get((head.stream, head.shard_id), 0) + 1
    listed = []
    for (label, shard_id), shard in there.items():
        hashes = shard.hash_range or EVERY_HASH
        place = MappingShard(
            mapping.app, mapping.handler, mapping.table, label, shard_id, hashes, numbers.of(label)
        )
        fields = kept.get(place.checkpoint_key)
        row = None if fields is None else read_row(fields, older.get(place.ledger_key))
        listed.append(
            MappingPlace(place, shard, row, saved.get((label, shard_id)), parked.get((label, shard_id), 0))
        )
    return listed


async def _generations(reading: ViewSources, mapping: MappingName) -> Generations:
    row = await reading.state.get(sources_key(mapping.app, mapping.table))
    return read_generations(mapping.app, mapping.table, None if row is None else row.fields)


class AskedPositions(Protocol):
    """Who can ask the targets that own the checkpoint: the worker that writes to them."""

    async def positions(
        self, mapping_id: str, names: Iterable[str]
    ) -> Mapping[str, Sequence[TargetPosition]] | None:
        """What a target has under these ids of a mapping; None: it is not asked here. Raises: PortError."""


class TargetAnswer(Struct, frozen=True):
    """What a target that owns the checkpoint says. Shape: `error` is why it says nothing, None: it does;
    `positions` by the id, the stream's label and the shard's id.
    """

    error: str | None
    positions: Mapping[tuple[str, str, str], TargetPosition] = field(default_factory=dict)


async def target_answer(
    mapping: MappingName, there: Sequence[MappingPlace], asked: AskedPositions | None
) -> TargetAnswer | None:
    """What a handler's target has; None: the state has its positions."""
    names = {at.row.target for at in there if at.row is not None and at.row.target}
    if asked is not None:
        try:
            answer = await asked.positions(mapping.handler, names | {mapping.handler})
        except PortError as error:
            return TargetAnswer(f"it does not answer: {error.args[0]}")
        if answer is not None:
            return TargetAnswer(
                None,
                {
                    (name, position.stream, position.shard_id): position
                    for name, positions in answer.items()
                    for position in positions
                },
            )
    return TargetAnswer("no worker that runs the handler is in this process") if names else None


async def checkpoints(
    reading: ViewSources, mapping: MappingName, asked: AskedPositions | None = None
) -> dict[str, Any]:
    """Where a handler stands in each shard, as `tailrace checkpoint show --json` has it. Shape: `target` is
    null where the state has the positions.
    """
    held = await leases(reading.state, mapping.app)
    there = await places(reading, mapping)
    answer = await target_answer(mapping, there, asked)
    return {
        "handler": mapping.handler,
        "app": mapping.app,
        "table": mapping.table,
        "target": None if answer is None else {"error": answer.error},
        "shards": [
            checkpoint_value(at, held.get((at.place.stream_label, at.place.shard_id)))
            | {"target": _target_value(at, answer)}
            for at in there
        ],
    }


def _target_value(at: MappingPlace, answer: TargetAnswer | None) -> dict[str, Any] | None:
    """What the target has of one shard; None: nothing, or it is not known."""
    if answer is None:
        return None
    place = at.place
    name = (at.row.target if at.row is not None else "") or place.mapping_id
    position = answer.positions.get((name, place.stream_label, place.shard_id))
    if position is None:
        return None
    return {"watermark": version_text(place.generation, position.watermark), "epoch": position.epoch}


def checkpoint_value(at: MappingPlace, lease: Lease | None) -> dict[str, Any]:
    """One shard of a handler. Shape: a version is `generation:sequence number`; numbers are text, for those
    of other streams are wider than JSON's. Units: created_ms since the epoch, of the last settled change.
    """
    generation, row = at.place.generation, at.row
    return {
        "stream": at.place.stream_label,
        "generation": generation,
        "shard": at.place.shard_id,
        "parents": list(at.shard.parents),
        "closed": at.shard.is_closed,
        "begun": row is not None,
        "finished": row is not None and row.finished,
        "epoch": None if row is None else row.epoch,
        "owner": lease.owner or None if lease is not None else None,
        "watermark": None if row is None else version_text(generation, row.watermark),
        "ranges": []
        if row is None
        else [
            [version_text(generation, first), version_text(generation, last)] for first, last in row.ranges
        ],
        "created_ms": None if row is None or not row.created_ms else row.created_ms,
        "parked_keys": at.parked_keys,
        "saved_from_trim": at.saved is not None,
    }


def version_text(generation: int, sequence: int) -> str:
    """A version as people write it.

    >>> version_text(2, 49000000000000000000012)
    '2:49000000000000000000012'
    """
    return f"{generation}:{wire(sequence)}"


def wire(sequence: int) -> str:
    """A sequence number as its stream writes it; "0" before every change."""
    return SequenceNumber(sequence).wire if sequence > 0 else "0"


def number_in(shard: Shard, text: str) -> int:
    """The sequence number behind the text that a stream writes, in one of its shards: what this engine gave
    is shorter than it is written. Raises: TailraceError.
    """
    if not (text.isascii() and text.isdigit()):
        raise TailraceError(
            f"{text!r} is no sequence number.", hint="tailrace why TABLE/KEY   (shows those of an item)"
        )
    is_far = shard.first >= OF_OTHERS or len(text) <= SEQUENCE_DIGITS
    return int(text) if is_far else int(SequenceNumber.from_wire(text))


# ---- where it would stand ----------------------------------------------------------------------------------


async def planned(
    reading: ViewSources, there: Sequence[MappingPlace], position: PositionAt
) -> list[PlannedPosition]:
    """What setting these shards to a position would do. Raises: SourceError, StoreError; TailraceError where
    the position is not one of the shard.
    """
    return [await _planned(reading, at, position) for at in there]


class _Scanned(Struct):
    """What was seen of a shard on the way to a position and behind it."""

    target: int | None = None
    last: int | None = None
    created_ms: int = 0
    repeated: int = 0
    runs: list[SkippedRun] = field(default_factory=list)
    is_between: bool = False

    def pass_over(self, record: ChangeRecord) -> None:
        """A record before the position that is not settled."""
        at_ms, run = record.created_ms, self.runs[-1] if self.runs else None
        if run is not None and (self.is_between or len(self.runs) == MOST_RUNS):
            self.runs[-1] = SkippedRun(run.first, record.sequence, run.count + 1, run.from_ms, at_ms)
        else:
            self.runs.append(SkippedRun(record.sequence, record.sequence, 1, at_ms, at_ms))
        self.is_between = True


async def _planned(reading: ViewSources, at: MappingPlace, position: PositionAt) -> PlannedPosition:
    scan = _Scanned()
    begin = _begin(at, position)
    if position.name in ("at", "after") and begin < position.number:
        await _check_kept(reading, at, position)
    async for record in _records(reading, at, begin):
        if scan.target is None and position.is_reached(record):
            scan.target = record.sequence - 1 if position.name != "after" else position.number
        if scan.target is not None:
            if record.sequence > at.furthest:
                break
            scan.repeated += at.is_settled(record)
            continue
        scan.last, scan.created_ms = record.sequence, record.created_ms
        if at.is_settled(record):
            scan.is_between = False
        else:
            scan.pass_over(record)
    return await _to(reading, at, position, scan)


def _begin(at: MappingPlace, position: PositionAt) -> int:
    """After which record a position is looked for."""
    match position.name:
        case "beginning" | "time":
            return 0
        case "end":
            return at.watermark
        case "at":
            return min(at.watermark, position.number - 1)
        case "after":
            return min(at.watermark, position.number)


async def _check_kept(reading: ViewSources, at: MappingPlace, position: PositionAt) -> None:
    """Raises: TailraceError when a position is before everything that can be read."""
    oldest = [record async for record in _records(reading, at, 0, most=1)]
    if oldest and position.number < oldest[0].sequence - (position.name == "after"):
        raise TailraceError(
            f"{at.place.shard_id} has no change {wire(position.number)} any more: the oldest is "
            f"{wire(oldest[0].sequence)}.",
            hint=f"tailrace checkpoint set {at.place.mapping_id} beginning --dry-run",
        )


async def _to(
    reading: ViewSources, at: MappingPlace, position: PositionAt, scan: _Scanned
) -> PlannedPosition:
    """What a scan came to. Without a target everything there is comes before the position."""
    is_end = scan.target is None and at.shard.is_closed
    target = max(at.furthest, scan.last or 0) if scan.target is None else scan.target
    if position.name in ("at", "after") and position.number > target + (position.name == "at"):
        raise TailraceError(
            f"{at.place.shard_id} has no change {wire(position.number)} yet: the last is {wire(target)}.",
            hint=f"tailrace checkpoint set {at.place.mapping_id} end --dry-run",
        )
    goes_back = target < at.watermark or (target == at.watermark and scan.repeated > 0)
    is_same = target == at.watermark and is_end == (at.row is not None and at.row.finished)
    if not goes_back and (is_same or position.name == "beginning"):
        return PlannedPosition(at, None)
    created_ms = scan.created_ms or at.shard.created_ms
    if goes_back:
        return PlannedPosition(at, NewPosition(target, is_end, True, created_ms), scan.repeated)
    runs = await _with_trimmed(reading, at, scan)
    return PlannedPosition(at, NewPosition(target, is_end, False, created_ms, tuple(runs)))


async def _with_trimmed(reading: ViewSources, at: MappingPlace, scan: _Scanned) -> list[SkippedRun]:
    """What is skipped, and before it what the stream has lost of what was never handled."""
    runs = [run for run in scan.runs if run.last > at.watermark]
    if at.row is None or at.saved is not None:
        return runs
    page = await reading.log.read(at.shard, at.watermark, 1)
    if page.trimmed:
        until_ms = page.records[0].created_ms if page.records else 0
        through = page.records[0].sequence - 1 if page.records else page.next_after
        lost = SkippedRun(at.watermark + 1, max(at.watermark + 1, through), 0, at.row.created_ms, until_ms)
        return [lost, *runs]
    return runs


async def _records(
    reading: ViewSources, at: MappingPlace, after: int, most: int = PAGE
) -> AsyncIterator[ChangeRecord]:
    """Every record of a shard behind a position that can be read now: what was saved, then the stream.
    Shape: `most` records of one read.
    """
    saved = at.saved
    if saved is not None:
        while after < saved.through:
            page = await reading.state.query(saved.prefix, after=saved.key_after(after), limit=most)
            for row in page:
                yield read_evacuated(row.fields)
            after = int(read_evacuated(page[-1].fields).sequence) if page else saved.through
        if saved.closed:
            return
    async for record in _of_log(reading.log, at.shard, after, most):
        yield record


async def _of_log(log: LogReader, shard: Shard, after: int, most: int) -> AsyncIterator[ChangeRecord]:
    empty = 0
    while empty < EMPTY_READS:
        page = await log.read(shard, after, most)
        for record in page.records:
            yield record
        if page.closed:
            return
        if not page.records and page.next_after <= after:
            empty += 1
        else:
            empty = 0
        after = page.next_after
        await asyncio.sleep(0)


# ---- choosing ----------------------------------------------------------------------------------------------


def chosen(there: Sequence[MappingPlace], name: str | None) -> list[MappingPlace]:
    """The shards that are meant: all, or one by its id, with the label of its stream before it where several
    streams have one. Raises: TailraceError that names what there is.
    """
    if name is None:
        return list(there)
    ids = [(at, (at.place.shard_id, f"{at.place.stream_label}/{at.place.shard_id}")) for at in there]
    meant = [at for at, names in ids if name in names]
    if len(meant) == 1:
        return meant
    words = ", ".join(f"{at.place.stream_label}/{at.place.shard_id}" for at in meant or there[:10])
    raise TailraceError(
        f"{'Several streams have' if meant else 'There is no'} shard {name!r}: {words or 'none'}.",
        hint="name one as --shard STREAM/SHARD; tailrace checkpoint show lists them",
    )


def check_children(there: Sequence[MappingPlace], plans: Sequence[PlannedPosition]) -> None:
    """Raises: TailraceError when a finished shard would go back alone, while one that continues it has gone
    on.
    """
    set_back = {plan.at.shard.place for plan in plans if plan.to is not None and plan.to.goes_back}
    for plan in plans:
        is_reopened = plan.at.row is not None and plan.at.row.finished
        if plan.to is None or plan.to.is_end or not is_reopened:
            continue
        for at in there:
            continues = plan.at.place.shard_id in at.shard.parents and at.shard.stream == plan.at.shard.stream
            has_gone_on = at.row is not None and at.furthest >= at.shard.first
            if continues and has_gone_on and at.shard.place not in set_back:
                raise TailraceError(
                    f"{plan.at.place.shard_id} is finished, and {at.place.shard_id}, which continues it, has "
                    "gone on: what was repeated would come after what is newer.",
                    hint=f"tailrace checkpoint set {plan.at.place.mapping_id} TIME --dry-run   (without "
                    "--shard all of them go back)",
                )
