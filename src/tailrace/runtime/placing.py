"""Setting where a mapping stands in a shard, beside whichever worker reads it; letting a shard that it had
finished begin again.

Theory of operation: a checkpoint may be written by who holds the lease of its shard, so the lease is taken as
a worker takes it, whoever has it: a new epoch in its row, then in the checkpoint's. From then on the owner
before saves nothing more; what its handlers are at is delivered again. The new position, the gaps of what it
skips and the word to the workers that positions were set are one transaction; then the lease is given back,
for any worker to go on. One that dies in between has a lease that runs out as any other.
A position goes forwards only from where the mapping is by then: what was settled since it was planned stays
settled, and is in no gap unless it lies between changes that are skipped.
Rules of this file: pure; steps, and values of one shard. Performed by server/checkpoints.py and
worker/targets.py, heard by worker/placed.py. Source: growth §2.8, decision 54.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from tailrace.deadletters.core.gap import Gap
from tailrace.errors import LeaseLost, StateConflict
from tailrace.leases.checkpoint import CheckpointRow, Ledger, Range, read_checkpoint
from tailrace.leases.lease import Lease, lease_key, release
from tailrace.rows.kinds import PLACED
from tailrace.rows.writes import ALWAYS, VERSION, Absent, Condition, Equals, StateRow, Write
from tailrace.runtime.delivering import MappingShard
from tailrace.runtime.starting import take_lease
from tailrace.runtime.steps import Get, Steps, Transact

ATTEMPTS: Final = 5
"""How often the lease is taken anew when a worker takes it, or renews it, at the same moment."""
MOST_RUNS: Final = 50
"""Runs of skipped changes that are told apart in one shard: each is a row of the same transaction."""


class SkippedRun(Struct, frozen=True):
    """Changes that a new position passes over, nothing settled between them. Shape: `count` is 0 where the
    stream has lost them. Units: from_ms, until_ms since the epoch, when the first and the last were written.
    """

    first: int
    last: int
    count: int
    from_ms: int
    until_ms: int


class NewPosition(Struct, frozen=True):
    """Where a mapping is to stand in a shard: everything up to `watermark` is settled.

    Shape:   `is_end`: the shard is closed and nothing of it comes after that. `goes_back`: what was settled
             behind it is delivered again. Units: created_ms since the epoch, of the last change that is
             passed; 0: not known.
    """

    watermark: int
    is_end: bool
    goes_back: bool
    created_ms: int = 0
    skipped: tuple[SkippedRun, ...] = ()


def moved(row: CheckpointRow, to: NewPosition) -> tuple[CheckpointRow, tuple[SkippedRun, ...]]:
    """The row at its new position, and what that skips of what was not settled by then.

    >>> moved(CheckpointRow(watermark=7, ranges=((9, 9),)), NewPosition(3, False, True))[0].watermark
    3
    """
    if to.goes_back:
        ledger = _known_to(row.ledger, to.watermark)
        back = replace(
            row, watermark=to.watermark, ranges=(), finished=to.is_end, created_ms=to.created_ms, window=None,
            ledger=ledger,
        )  # fmt: skip
        return back, ()
    watermark = max(row.watermark, to.watermark)
    skipped = tuple(
        left for run in to.skipped if (left := _unsettled(run, row.watermark, row.ranges)) is not None
    )
    ahead = replace(
        row,
        watermark=watermark,
        ranges=tuple((max(first, watermark + 1), last) for first, last in row.ranges if last > watermark),
        finished=row.finished or to.is_end,
        created_ms=max(row.created_ms, to.created_ms),
        window=None if watermark > row.watermark else row.window,
        ledger=row.ledger.after(
            [(run.first, run.last, 0, "trimmed") for run in skipped],
            {run.first: (run.from_ms, run.until_ms) for run in skipped},
        ),
    )
    return ahead, skipped


def _known_to(ledger: Ledger, watermark: int) -> Ledger:
    """A ledger that knows nothing of what comes after a position: that is to be handled again."""
    ranges = tuple(run for run in ledger.ranges if run[0] <= watermark)
    times = {run[0]: ledger.times[run[0]] for run in ranges if run[0] in ledger.times}
    return replace(ledger, ranges=ranges, times=times, detail_from=min(ledger.detail_from, watermark + 1))


def _unsettled(run: SkippedRun, watermark: int, ranges: tuple[Range, ...]) -> SkippedRun | None:
    """What of a run is not settled; None: all of it is. What is settled inside what is left stays in it."""
    first = max(run.first, watermark + 1)
    for settled_first, settled_last in ranges:
        if settled_first <= first <= settled_last:
            first = settled_last + 1
    return None if first > run.last else replace(run, first=first)


# ---- under the lease ---------------------------------------------------------------------------------------


def placed_key(app: str, mapping_id: str) -> str:
    """The row that says that positions of a mapping were set."""
    return PLACED.key(app, mapping_id)


def placed_fields(mapping_id: str, revision: str, at_ms: int) -> dict[str, object]:
    """What it says. Shape: `revision` is another with every shard that was set."""
    return {"v": VERSION, "id": mapping_id, "revision": revision, "at_ms": at_ms}


def place_checkpoint(
    place: MappingShard, to: NewPosition, owner: str, number: int, at_ms: int
) -> Steps[tuple[CheckpointRow, tuple[SkippedRun, ...]]]:
    """Take the shard's lease, set the checkpoint, give the lease back. Returns: what is durable, and what was
    skipped.

    Shape:   `owner` is a name that no worker has or had; `number` counts the shards that it sets. Units:
             at_ms since the epoch.
    Raises:  LeaseLost when workers were faster each time; StoreError.
    """

    def set_to(row: CheckpointRow) -> Moved:
        after, skipped = moved(row, to)
        # The row has the position until the target does, where that owns the checkpoint.
        return replace(after, target="", is_set_back=to.goes_back), skipped

    return (yield from _under_lease(place, set_to, owner, number, at_ms))


def reopen_checkpoint(place: MappingShard, owner: str, number: int, at_ms: int) -> Steps[None]:
    """Let a shard that was finished begin again where its target stands, which owns the checkpoint: the row
    goes on to say what the target had, so that what the stream has lost since is a gap. Repeatable.

    Shape and Raises: as `place_checkpoint`.
    """
    row: StateRow | None = yield Get(place.checkpoint_key)
    if row is not None and read_checkpoint(row.fields)[2]:
        yield from _under_lease(place, lambda row: (replace(row, finished=False), ()), owner, number, at_ms)


Moved: TypeAlias = tuple[CheckpointRow, tuple[SkippedRun, ...]]
"""The row as it is to be, and what that skips."""


def _under_lease(
    place: MappingShard, change: Callable[[CheckpointRow], Moved], owner: str, number: int, at_ms: int
) -> Steps[Moved]:
    for _ in range(ATTEMPTS):
        key = lease_key(place.app, place.stream_label, place.shard_id)
        try:
            lease, stamped = yield from take_lease(key, owner, [place])
            before = stamped.get(place.checkpoint_key)
            row = before or CheckpointRow(lease.epoch, hashes=place.hashes, watermark=0)
            after, skipped = change(row)
            after = replace(after, epoch=lease.epoch, writes=row.writes + 1)
            condition: Condition = Absent() if before is None else Equals("epoch", lease.epoch)
            heard = placed_fields(place.mapping_id, f"{owner}/{number}", at_ms)
            yield Transact(
                (
                    Write(place.checkpoint_key, after.fields(), condition),
                    *_gaps(place, skipped, at_ms),
                    Write(placed_key(place.app, place.mapping_id), heard, ALWAYS),
                )
            )
        except (LeaseLost, StateConflict):
            continue  # its owner, or the one that takes over, wrote at the same moment
        yield from _give_back(lease)
        return after, skipped
    raise LeaseLost(f"workers have taken {place.shard_id} {ATTEMPTS} times meanwhile; nothing was set there")


def free_lease(key: str, owner: str, places: Sequence[MappingShard]) -> Steps[int]:
    """Take a lease, whoever has it, and give it back: any worker may take it at once, and the owner before
    saves nothing more. Returns: its epoch now.

    Shape:   `owner` is a name that no worker has or had; `places` are the mappings that were in the shard.
    Raises:  LeaseLost and StateConflict when a worker takes it at the same moment; StoreError.
    """
    lease, _ = yield from take_lease(key, owner, places)
    yield from _give_back(lease)
    return lease.epoch


def _gaps(place: MappingShard, skipped: tuple[SkippedRun, ...], at_ms: int) -> Iterator[Write]:
    """A row for each run that is skipped. Who said so knows it: only what the stream has lost stands open."""
    for run in skipped:
        gap = Gap(
            place.shard_id,
            run.first,
            run.last,
            run.from_ms,
            run.until_ms,
            acknowledged_ms=at_ms if run.count else 0,
            generation=place.generation,
            skipped=run.count,
        )
        yield Write(gap.key(place.app, place.mapping_id), gap.fields())


def _give_back(lease: Lease) -> Steps[None]:
    try:
        yield Transact((release(lease),))
    except StateConflict:
        return  # a worker has taken it already
