"""How far a target has each shard, beside its rows: what makes each change count once.

Theory of operation: a position is read under a lock before anything is written, and its epoch must be that of
the lease; rows and position are of one transaction. `commits` and `changes` count what was committed, so that
a count of the source's changes can be compared with them.
Rules of this file: steps of a transaction.
"""

from tailrace.errors import LeaseLost
from tailrace.ports import TargetPosition
from tailrace.runtime import owned_positions
from tailrace.sinks.sql.catalog import POSITIONS, SinkCatalog
from tailrace.sinks.sql.statements import Ask, Steps


def positions(catalog: SinkCatalog, mapping_id: str) -> Steps[list[TargetPosition]]:
    """What the target has of a mapping."""
    mark = catalog.dialect.mark
    rows = yield Ask(
        f"SELECT stream, shard, epoch, watermark FROM {catalog.dialect.place(POSITIONS)} WHERE name = {mark} "
        f"AND mapping = {mark} ORDER BY stream, shard",
        [catalog.name, mapping_id],
    )
    return [TargetPosition(stream, shard, epoch, int(watermark)) for stream, shard, epoch, watermark in rows]


def stamped(
    catalog: SinkCatalog, mapping_id: str, stream: str, shard_id: str, epoch: int
) -> Steps[TargetPosition]:
    """Raise the epoch of a shard. Raises: LeaseLost when a higher one is there."""
    wanted = TargetPosition(stream, shard_id, epoch)
    mark, place = catalog.dialect.mark, catalog.dialect.place(POSITIONS)
    there = yield from _locked(catalog, mapping_id, wanted)
    if there is None:
        keys = {"name": catalog.name, "mapping": mapping_id, "stream": stream, "shard": shard_id}
        others = {"epoch": 0, "watermark": "0", "commits": 0, "changes": 0}
        yield from catalog.dialect.unless_there(place, keys, others)
        # Another transaction may have been first. None: this one's row, which only its end makes visible.
        there = (yield from _locked(catalog, mapping_id, wanted)) or TargetPosition(stream, shard_id, 0)
    if there.epoch > epoch:
        raise LeaseLost(f"{shard_id} was taken under epoch {there.epoch}, this is {epoch}")
    yield from _set(catalog, mapping_id, wanted, f"epoch = {mark}", [epoch])
    return TargetPosition(stream, shard_id, epoch, there.watermark)


def held(catalog: SinkCatalog, mapping_id: str, position: TargetPosition) -> Steps[TargetPosition]:
    """What the target has of a shard that this epoch holds, locked. Raises: LeaseLost."""
    there = yield from _locked(catalog, mapping_id, position)
    return owned_positions.held(there, position)


def is_committed(catalog: SinkCatalog, mapping_id: str, position: TargetPosition) -> Steps[bool]:
    """Whether the target has it already; the position is locked. Raises: LeaseLost, as the law says."""
    there = yield from _locked(catalog, mapping_id, position)
    return owned_positions.is_committed(there, position)


def advanced(catalog: SinkCatalog, mapping_id: str, position: TargetPosition, changes: int) -> Steps[None]:
    """Write a position with which so many changes came."""
    mark = catalog.dialect.mark
    sets = f"watermark = {mark}, commits = commits + 1, changes = changes + {mark}"
    yield from _set(catalog, mapping_id, position, sets, [str(position.watermark), changes])


def put_back(catalog: SinkCatalog, mapping_id: str, position: TargetPosition) -> Steps[None]:
    """Write a position as told, also a lower one. Raises: LeaseLost."""
    yield from held(catalog, mapping_id, position)
    yield from _set(
        catalog, mapping_id, position, f"watermark = {catalog.dialect.mark}", [str(position.watermark)]
    )


def _locked(catalog: SinkCatalog, mapping_id: str, position: TargetPosition) -> Steps[TargetPosition | None]:
    rows = yield Ask(
        f"SELECT epoch, watermark FROM {catalog.dialect.place(POSITIONS)} WHERE {_one(catalog)}"
        f"{catalog.dialect.for_update}",
        [catalog.name, mapping_id, position.stream, position.shard_id],
    )
    for epoch, watermark in rows:
        return TargetPosition(position.stream, position.shard_id, epoch, int(watermark))
    return None


def _set(
    catalog: SinkCatalog, mapping_id: str, position: TargetPosition, sets: str, values: list[int | str]
) -> Steps[None]:
    yield Ask(
        f"UPDATE {catalog.dialect.place(POSITIONS)} SET {sets} WHERE {_one(catalog)}",
        [*values, catalog.name, mapping_id, position.stream, position.shard_id],
    )


def _one(catalog: SinkCatalog) -> str:
    return " AND ".join(f"{name} = {catalog.dialect.mark}" for name in ("name", "mapping", "stream", "shard"))
