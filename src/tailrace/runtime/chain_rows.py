"""The row of an item's chain of changes, where the source does not keep their order, and the gaps in it.

Theory of operation: a worker that takes a shard loads the rows of all items whose partition hash is in it,
whichever shard wrote them: one that it continues, for children begin when their parents are finished. They
are written with the checkpoint that passes the item's changes, or before, under the same epoch.
Rules of this file: a pure layout and its reader, format 1, docs/formats/state.md. Called by delivering.py and
starting.py; mapping/holding.py says what a chain is.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tailrace.deadletters.core.gap import Gap
from tailrace.mapping.chain import Link
from tailrace.mapping.chained_item import ChainRow
from tailrace.mapping.holding import ChainHole
from tailrace.ports import Shard
from tailrace.rows.kinds import CHAIN
from tailrace.rows.writes import StateRow, Write, readable
from tailrace.runtime.steps import QueryRows, Steps
from tailrace.streams.record import MILLISECOND
from tailrace.streams.stored import WITH_VERSION, read_record, record_fields


def chain_writes(
    words: tuple[str, str, str, str],
    generation: int,
    chains: Sequence[tuple[bytes, ChainRow | None]],
    holes: Sequence[ChainHole],
) -> list[Write]:
    """What a checkpoint saves of chains. Shape: `words` are those of a mapping in a shard."""
    app, mapping_id, label, shard_id = words
    gaps = [
        Gap(
            shard_id,
            hole.after + 1,
            hole.before - 1,
            hole.after_us // MILLISECOND,
            hole.before_us // MILLISECOND,
            generation=generation,
            item=hole.key.hex(),
        )
        for hole in holes
    ]
    told = [Write(gap.key(app, mapping_id), gap.fields()) for gap in gaps]
    return told + [chain_write((app, mapping_id, label), key, row) for key, row in chains]


def chain_write(words: Sequence[str], key: bytes, row: ChainRow | None) -> Write:
    """What is kept of an item's chain, or that nothing is. Shape: `words` are app, mapping id and label."""
    name = CHAIN.key(*words, key.hex())
    if row is None:
        return Write(name, None)
    fields: dict[str, Any] = {"v": CHAIN.format, "key": key.hex(), "partition": str(row.partition)}
    fields["links"] = [_link_fields(link) for link in row.links]
    if row.ahead:
        fields["ahead"] = [_link_fields(link) for link in row.ahead]
    if row.carried:
        fields["carried"] = [record_fields(record) for record in row.carried]
    return Write(name, fields)


def _link_fields(link: Link) -> list[Any]:
    """Numbers that may be wider than JSON's are text."""
    digests = (link.old.hex(), link.new.hex(), link.identity.hex())
    return [link.created_us, link.precision_us, *digests, str(link.number), str(link.slot)]


def read_chain(fields: Mapping[str, Any]) -> tuple[bytes, ChainRow]:
    """The item and its chain behind a row. Raises: StoreError when its format is not known."""
    row = readable(fields, "chain of an item", CHAIN.format)
    return bytes.fromhex(row["key"]), ChainRow(
        int(row["partition"]),
        tuple(_read_link(link) for link in row["links"]),
        tuple(_read_link(link) for link in row.get("ahead", ())),
        tuple(read_record(record, WITH_VERSION) for record in row.get("carried", ())),
    )


def _read_link(fields: Sequence[Any]) -> Link:
    created_us, precision_us, old, new, identity, number, slot = fields
    old, new, identity = (bytes.fromhex(digest) for digest in (old, new, identity))
    return Link(created_us, precision_us, old, new, identity, int(number), int(slot))


def load_chains(words: Sequence[str], shard: Shard) -> Steps[tuple[tuple[bytes, ChainRow], ...]]:
    """The chains of all items that are in a shard. Raises: StoreError."""
    rows: list[StateRow] = yield QueryRows(CHAIN.prefix(*words))
    chains = (read_chain(row.fields) for row in rows)
    return tuple((key, row) for key, row in chains if shard.may_have(row.partition))
