"""What items become in Redshift, on the stand-in: columns that grow, values that are long, both files."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import pytest

from tailrace import sinks
from tailrace.columns.reading import digest_of
from tailrace.errors import SettingsError, Unavailable
from tailrace.ports import TargetPosition, Written
from tailrace.sinks.redshift.sink import Redshift
from tailrace.streams.record import ChangeRecord
from tests.redshift import API, Warehouse, options
from tests.unit.sinks.redshift.changes import PassingClock, batch, gone, put

LONG: Final = "é" * 40_000
DIGITS: Final = "12345678901234567890.123456789012345678"
NESTED: Final = {"M": {"n": {"N": DIGITS}, "f": {"N": "0.1"}, "i": {"N": str(2**63)}, "t": {"S": "a\0b\\N"}}}
HISTORY: Final = (
    [put("a", 1, n={"N": "1"}, t={"S": "it's"}), put("b", 2, n={"N": "-9"}, T={"S": "another case"})],
    [put("c", 3, n={"N": "0.25"}, nested=NESTED)],  # int64 → decimal
    [put("d", 4, n={"N": DIGITS + "9"}, t={"S": "a\0b␀0"})],  # decimal → digits
    [put("e", 5, **{f"c{number:02}": {"N": str(number)} for number in range(9)})],  # copied: nine at once
    [put("f", 6, t={"S": LONG}, n={"S": "no number"}, raw={"B": "AAEC"})],
    [put("g", 7, raw={"B": "AAEC" * 12_000}, t={"S": "\\N"})],
    [put("h", 8, nested={"L": [{"S": LONG}, {"N": DIGITS}]}, t={"S": "\\N␀N"}, raw={"B": ""})],  # JSON lines
    [
        put("i", 9, small={"N": "0." + "0" * 37 + "1"}),
        put("j", 10, small={"N": "1.5"}, _extra={"BOOL": True}),
    ],
    [put("a", 11, n={"N": "2"}, set={"NS": ["1", DIGITS]}), gone("b", 12)],
)


def newest(history: Sequence[Sequence[ChangeRecord]]) -> dict[bytes, ChangeRecord]:
    """Of each item the last change."""
    return {record.key: record for part in history for record in part}


@pytest.mark.parametrize("place", ["protocol", "api", "protocol without pyarrow"])
def test_rows_read_back_equal_the_items(
    warehouse: Warehouse, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "without" in place:
        monkeypatch.setattr("tailrace.sinks.redshift.sink.find_spec", lambda name: None)
    schema = warehouse.schema()

    def make() -> Redshift:
        return Redshift(API if place == "api" else warehouse.url, "orders", schema, **options())

    async def run() -> None:
        for part in HISTORY:
            sink = make()  # each batch by another worker
            await sink.open(PassingClock())
            assert await sink.write(batch(part)) == Written()
            await sink.close()
        await sink.open(PassingClock())
        rows = await sink.rows(b"", 100)
        last = newest(HISTORY)
        wanted = await sink.digests(batch([last[row.key] for row in rows]))
        assert [row.digest for row in rows] == list(wanted)
        assert {row.key for row in rows} == last.keys()
        await sink.close()

    asyncio.run(run())
    ((extra,),) = warehouse.ask("SELECT _extra::text FROM orders WHERE pk = 'f'", schema)
    assert LONG in extra
    assert "no number" in extra
    ((number, kept),) = warehouse.ask("SELECT n, nested->>'n' FROM orders WHERE pk = 'c'", schema)
    assert (number, kept) == ("0.25", DIGITS)
    formats = {command for command in warehouse.commands if command.startswith("COPY")}
    assert "COPY from JSON" in formats
    assert warehouse.staged() == []


def test_a_digest_differs_where_a_long_number_does() -> None:
    """Canary of the one above: numbers that SUPER does not keep are compared, as texts."""
    sink = Redshift(API, "orders", **options())
    asyncio.run(_digests_differ(sink))


async def _digests_differ(sink: Redshift) -> None:
    changes = [put("a", 1, nested={"L": [{"N": DIGITS}]}), put("a", 1, nested={"L": [{"N": DIGITS + "1"}]})]
    digests = await sink.digests(batch(changes))
    assert digests[0] != digests[1]
    assert digests[0] != digest_of({"pk": {"S": "a"}, "nested": {"L": [{"N": DIGITS}]}})


def test_a_wider_column_keeps_the_grants_of_its_view(warehouse: Warehouse) -> None:
    schema = warehouse.schema()
    warehouse.ask("DO $$ BEGIN CREATE ROLE analyst; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    write(warehouse, schema, [put("a", 1, n={"N": "1"})])
    warehouse.ask("GRANT SELECT ON orders TO analyst, PUBLIC", schema)
    write(warehouse, schema, [put("a", 2, n={"N": "1.5"}, new={"S": "x"})])
    granted = f"SELECT relacl::text FROM pg_class WHERE oid = '{schema}.orders'::regclass"
    ((access,),) = warehouse.ask(granted)
    assert "analyst=r/" in access
    assert ",=r/" in access


def test_a_view_of_a_user_that_is_in_the_way_is_named(warehouse: Warehouse) -> None:
    schema = warehouse.schema()
    write(warehouse, schema, [put("a", 1, n={"N": "1"})])
    warehouse.ask("CREATE VIEW mine AS SELECT n FROM orders", schema)
    with pytest.raises(Unavailable, match="WITH NO SCHEMA BINDING"):
        write(warehouse, schema, [put("a", 2, n={"N": "1"}, new={"S": "x"})])
    warehouse.ask("DROP VIEW mine", schema)
    write(warehouse, schema, [put("a", 2, n={"N": "1"}, new={"S": "x"})])
    assert warehouse.ask("SELECT new FROM orders", schema) == [("x",)]


@pytest.mark.parametrize("place", ["protocol", "api"])
def test_items_of_more_entities_than_a_list_has_statements_for_arrive_with_their_position(
    warehouse: Warehouse, place: str
) -> None:
    schema = warehouse.schema()
    kinds = [f"kind{number}" for number in range(12)]
    changes = [
        put(f"{kind}-{number}", 10 * index + number + 1, __typename={"S": kind}, n={"N": "1"})
        for index, kind in enumerate(kinds)
        for number in range(4)
    ]

    async def run() -> list[int]:
        sink = Redshift(API if place == "api" else warehouse.url, "", schema, **options())
        await sink.open(PassingClock())
        held = await sink.stamp("orders", "label", "shardId-1", 1)
        for _ in range(2):  # the second time nothing is there to be done
            position = TargetPosition(held.stream, held.shard_id, 1, changes[-1].sequence)
            assert await sink.commit(batch(changes), position) == Written()
        there = await sink.positions("orders")
        await sink.close()
        return [position.watermark for position in there]

    assert asyncio.run(run()) == [changes[-1].sequence]
    for kind in kinds:
        assert warehouse.ask(f"SELECT count(*) FROM {kind}", schema) == [(4,)]
    assert warehouse.ask("SELECT changes, commits FROM tailrace_positions", schema) == [(len(changes), 1)]


def write(warehouse: Warehouse, schema: str, changes: Sequence[ChangeRecord]) -> None:
    """Written by a sink of its own."""

    async def run() -> None:
        sink = Redshift(warehouse.url, "orders", schema, **options())
        await sink.open(PassingClock())
        try:
            assert await sink.write(batch(changes)) == Written()
        finally:
            await sink.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"table": "Orders"}, "table='orders'"),
        ({"schema": "a.b"}, "schema='a_b'"),
        ({"schema": ""}, "schema=''"),
        ({"role": "arn:'; DROP"}, "ARN"),
        ({"staging": "my-bucket"}, "s3://my-bucket/tailrace"),
        ({"staging": "s3://bucket/"}, "prefix"),
    ],
)
def test_what_is_wrong_is_told_where_it_is_declared(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        sinks.Redshift(API, **{**options(), **wrong})


@pytest.mark.parametrize(
    "wrong",
    [
        {"database": ""},
        {"database": "dev"},
        {"database": "dev", "workgroup": "a", "cluster": "b"},
        {"database": "dev", "workgroup": "a", "user": "u"},
        {"database": "dev", "cluster": "a", "user": "u", "secret": "s"},
    ],
)
def test_a_warehouse_is_a_workgroup_or_a_cluster(wrong: dict[str, str]) -> None:
    with pytest.raises(SettingsError):
        sinks.RedshiftDataApi(**wrong)
