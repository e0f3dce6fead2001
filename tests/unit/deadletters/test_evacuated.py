"""Rows of what was saved from the trim keep the shard as any source may tell of it, and the
old layout is read.
"""

from tailrace.deadletters.core.evacuated import Evacuation, copied, read_evacuation
from tailrace.streams.shards import HASHES, Shard

STREAM = ("arn", "label", "NEW_AND_OLD_IMAGES", "us-east-1")


def test_a_merged_shard_without_hashes_is_read_as_it_was_written() -> None:
    shard = Shard("s-3", 10**55 + 1, ("s-1", "s-2"), 10**56 - 1, stream="label")
    before = Evacuation("shop", "mail", "orders", STREAM, shard)  # type: ignore[arg-type]
    _, (write,) = copied(before, 0, (), through=0, closed=True, shard=shard, trimmed=False)
    assert write.fields is not None
    assert read_evacuation("shop", "mail", write.fields).shard == shard


def test_the_layout_before_lineage_is_read() -> None:
    old = {
        "v": 1, "table": "orders", "stream": list(STREAM), "begin": 4, "through": 9, "closed": False,
        "lost": [], "version": 2, "stamp": "4/2",
        "shard": {
            "id": "s-2", "number": 7, "first": f"{0:016x}", "last": f"{HASHES - 1:016x}", "starting": 5,
            "created_ms": 1, "parent": "s-1",
            "ending": None, "closed_ms": None, "before": 3,
        },
    }  # fmt: skip
    assert read_evacuation("shop", "mail", old).shard == Shard(
        "s-2", 5, ("s-1",), None, (0, HASHES - 1), "label", 1, 3
    )
