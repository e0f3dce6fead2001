"""The statements that are sent, as they are sent: a golden file, and the forms that Redshift documents."""

import asyncio
import re
from pathlib import Path
from typing import Final

import pytest

from tailrace.errors import Refused, Unavailable
from tailrace.ports import TargetPosition
from tailrace.sinks.redshift.errors import failure
from tailrace.sinks.redshift.sink import Redshift
from tailrace.sinks.redshift.values import as_super, keys_in_pages, literal, super_text, written
from tailrace.sinks.sql.statements import Ask
from tailrace.streams.version import Version
from tests.redshift import API, Warehouse, options
from tests.redshift_grammar import COMPILED, command_of
from tests.unit.sinks.redshift.changes import PassingClock, batch, gone, put

GOLDEN: Final = Path(__file__).parent / "statements.sql"
OWN: Final = re.compile(
    r"BEGIN|COMMIT|ROLLBACK|LOCK .*|DROP TABLE (IF EXISTS )?tailrace_staged.*|SELECT MAX.*"
    r'|UPDATE "shop"."tailrace_lock".*'
)
"""What the doors do otherwise: where a transaction begins and ends, its turn, staging tables of a session."""
HEAD: Final = "-- What both doors send, in order; names of staged files and of the schema left out.\n"


async def everything(sink: Redshift) -> None:
    """Each thing that a sink does, once."""
    await sink.open(PassingClock())
    await sink.keep_sources({"2026-01-01T00:00:00.000": 1})
    held = await sink.stamp("orders", "2026-01-01T00:00:00.000", "shardId-1", 1)
    first = [put("a", 1, n={"N": "1"}, who={"S": "O'Hara"}), put("b", 2, n={"N": "2"}), gone("c", 3)]
    await sink.commit(batch(first), TargetPosition(held.stream, held.shard_id, 1, 3))
    await sink.write(batch([put("a", 4, n={"N": "1.5"}, tags={"SS": ["x"]})]))  # a wider column
    await sink.write(batch([put("a", 5, raw={"B": "AAEC"}, paid={"BOOL": True})]))  # new columns
    await sink.write(batch([put("a", 6, tags={"L": [{"S": "é" * 40_000}]})]))  # JSON lines
    await sink.sources()
    await sink.positions("orders")
    await sink.put_position("orders", TargetPosition(held.stream, held.shard_id, 1, 2))
    await sink.rows(b"", 10)
    await sink.mend(batch([put("a", 6, n={"N": "7"})]), [Version(1, 6)])
    await sink.sweep(b"", None, Version(2, 0), Version(2, 9), 10)
    await sink.forget(2_000_000_000_000_000, 10)
    await sink.close()


def sent(warehouse: Warehouse, place: str, table: str) -> list[str]:
    """What a door sends for all of it."""
    schema = warehouse.schema()
    before = len(warehouse.statements)
    door = API if place == "api" else warehouse.url
    asyncio.run(everything(Redshift(door, table, schema, **options())))
    statements = warehouse.statements[before:]
    return [
        re.sub(r"/\d{15}-[0-9a-f]{16}-\d+\.", "/…", statement)
        .replace(f'"{schema}"', '"shop"')
        .replace(f"'{schema}'", "'shop'")
        for statement in statements
    ]


@pytest.mark.parametrize("table", ["orders", ""])
def test_both_doors_send_the_statements_of_the_golden_file(warehouse: Warehouse, table: str) -> None:
    protocol, api = sent(warehouse, "protocol", table), sent(warehouse, "api", table)
    assert sorted(line for line in protocol if not OWN.fullmatch(line)) == sorted(
        line for line in api if not OWN.fullmatch(line)
    )
    if table:
        told = HEAD + "".join(f"{line};\n" for line in protocol)
        assert told == GOLDEN.read_text(), f"look at the difference, then write it to {GOLDEN}"


def test_every_statement_of_the_golden_file_is_documented_and_all_forms_are_used() -> None:
    lines = GOLDEN.read_text().removeprefix(HEAD).splitlines()
    used = {command_of(line.removesuffix(";").replace("/…", "/")) for line in lines}
    rare = {"GRANT", "ROLLBACK", "CREATE TABLE of a key"}
    assert used | rare == set(COMPILED)


@pytest.mark.parametrize(
    "statement",
    [
        'INSERT INTO "s"."t" ("a") VALUES (1) ON CONFLICT DO NOTHING',
        'SELECT "a" FROM "s"."t" FOR UPDATE',
        'DELETE FROM "s"."t" WHERE "a" = 1 RETURNING "a"',
        "SELECT 1; SELECT 2",
        'MERGE INTO "s"."t" USING (SELECT 1) ON "t"."a" = x."a" WHEN MATCHED THEN DELETE',
        'MERGE INTO "s"."t" USING tailrace_staged_1 ON "t"."a" = tailrace_staged_1."a" WHEN MATCHED AND '
        '"t"."v" < 1 THEN UPDATE SET "v" = tailrace_staged_1."v" WHEN NOT MATCHED THEN INSERT ("a") '
        'VALUES (tailrace_staged_1."a")',
        'CREATE OR REPLACE VIEW "s"."v" AS SELECT "a" FROM "s"."t" WHERE NOT "d"',
        'ALTER TABLE "s"."t" ALTER COLUMN "a" TYPE DECIMAL(38,2)',
        'ALTER TABLE "s"."t" ADD COLUMN "a" DECIMAL(38,38)',
        'ALTER TABLE "s"."t" ADD COLUMN "a" VARCHAR(65536)',
        'ALTER TABLE "s"."t" ADD COLUMN "a" JSONB',
        "COPY tailrace_staged_1 FROM STDIN",
        r"""INSERT INTO "s"."t" ("a") VALUES ('\')""",
    ],
)
def test_what_redshift_does_not_document_is_caught(statement: str) -> None:
    """Canaries of the forms."""
    with pytest.raises(AssertionError, match="no such statement"):
        command_of(statement)


# ---- values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["", "it's", "a\\b", "a\nb", "é␀\u2028", "'; DROP TABLE x; --", "%s"])
def test_a_text_is_what_it_was(warehouse: Warehouse, value: str) -> None:
    assert warehouse.ask(written(Ask("SELECT %s", [value]))) == [(value,)]
    assert re.fullmatch(r"'(?:[^'\\]|'')*'|FROM_VARBYTE\(FROM_HEX\('[0-9a-f]+'\), 'utf-8'\)", literal(value))


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        ("9223372036854775807", "N"),
        ("9223372036854775808", "S"),
        ("-9223372036854775808", "N"),
        ("-9223372036854775809", "S"),
        ("0.12345678901234", "N"),
        ("0.123456789012345", "S"),
        ("123456789012.345", "N"),
        ("1234567890123.456", "S"),
    ],
)
def test_super_gets_the_numbers_that_it_keeps(number: str, kind: str) -> None:
    assert as_super({"L": [{"N": number}]}) == {"L": [{kind: number}]}
    assert super_text(f"[{number}]") == (f"[{number}]" if kind == "N" else f'["{number}"]')


def test_pages_of_keys_fit_a_statement() -> None:
    keys = [b"k" * 3_000] * 20 + [b"%d" % number for number in range(1_000)]
    pages = list(keys_in_pages(keys))
    assert [key for page in pages for key in page] == keys
    assert all(len(page) <= 400 and sum(2 * len(key) for key in page) <= 50_000 for page in pages)


@pytest.mark.parametrize(
    ("said", "is_row", "hint"),
    [
        (
            "ERROR: Load into table 'tailrace_staged_1' failed. Check 'stl_load_errors' system table",
            True,
            "",
        ),
        ("ERROR: Value too long for character type", True, ""),
        ("ERROR: Numeric data overflow (result precision)", True, ""),
        ("ERROR: 1023 DETAIL: Serializable isolation violation on table - 108", False, "another transaction"),
        ("ERROR: S3ServiceException:Access Denied,Status 403,Error AccessDenied", False, "IAM role"),
        ("ERROR: The specified S3 prefix 'x' does not exist", False, "region"),
        ("ERROR: permission denied for schema shop", False, "GRANT CREATE"),
        ('ERROR: schema "shop" does not exist', False, "CREATE SCHEMA"),
        ('ERROR: relation "shop.tailrace_lock" does not exist', False, "is gone"),
        ("ERROR: cannot drop view orders because other objects depend on it", False, "NO SCHEMA BINDING"),
        ("ERROR: Disk Full", False, "room"),
        ("something that nobody has written down", False, "tried again"),
    ],
)
def test_what_redshift_says_is_a_row_s_fault_or_an_outage(said: str, is_row: bool, hint: str) -> None:
    told = failure("warehouse", said)
    assert isinstance(told, Refused if is_row else Unavailable)
    assert said in str(told)
    assert hint in (told.hint or "")
