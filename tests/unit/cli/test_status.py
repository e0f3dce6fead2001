"""What `status`, `why` and `coverage` print for people."""

from typing import Any

import click

from tailrace.cli import coverage, status, why

HANDLER: dict[str, Any] = {
    "handler": "mail", "table": "shop", "lag_ms": 61_000, "last_progress_ms": 4_000, "dead_letters": 2,
    "shards": [{"shard": "shardId-1", "blocked": None},
               {"shard": "shardId-2", "blocked": "the sink is failing"}],
    "threads": {"busy": 3, "of": 32, "waiting": 0},
    "settled": {"handled": 7, "filtered": 3, "parked": 0, "discarded": 2, "trimmed": 0},
}  # fmt: skip
TABLES = [
    {"table": "shop", "view_type": "NEW_IMAGE", "shards": {"open": 1, "closed": 2}},
    {"table": "effects", "view_type": None, "shards": {"open": 0, "closed": 0}},
]
CHANGE: dict[str, Any] = {
    "event_name": "INSERT", "table": "shop", "at": "2026-10-31T23:59:01.250Z", "sequence_number": "1007",
    "shard": "shardId-1", "event_id": "ab", "keys": {"pk": {"S": "o1"}}, "old": None,
    "new": {"pk": {"S": "o1"}},
    "handlers": [],
}  # fmt: skip


def shown(lines: Any) -> list[str]:
    return [click.unstyle(line) for line in lines]


def test_status_is_a_table_of_handlers_with_columns_in_line() -> None:
    text = shown(status.lines({"tables": TABLES, "handlers": [HANDLER]}))
    heading, row = text[4:6]
    assert row.split() == ["mail", "shop", "1m1s", "7", "3", "0", "2", "0", "3/32", "4s", "ago"]
    assert heading.index("HANDLED") == row.index("7")
    assert text[1].split() == ["shop", "NEW_IMAGE", "1", "open,", "2", "closed"]
    assert text[2].split() == ["effects", "off", "-"]
    assert "mail waits in shardId-2: the sink is failing" in text
    assert any("tailrace dlq ls" in line for line in text)


def test_status_says_what_is_not_well_of_a_table_on_its_way_into_a_data_stream() -> None:
    well = {"stream": "arn", "status": "ACTIVE", "oldest_ms": 59_999, "throttled": 3, "failed": 0, "lost": 0}
    ill = {**well, "oldest_ms": 60_000, "failed": 2, "lost": 1}
    failed = {**well, "status": "ENABLE_FAILED", "oldest_ms": 0}

    def said(*destinations: dict[str, Any]) -> list[str]:
        tables = [{**TABLES[0], "destinations": list(destinations)}]
        return [line for line in shown(status.lines({"tables": tables, "handlers": []})) if "arn" in line]

    assert said(well) == []
    assert said(ill) == [
        "shop into arn: the oldest change waits for 1m",
        "shop into arn: changes that are too large for it: 2",
        "shop into arn: changes lost, for it was away or busy for a day: 1",
    ]
    assert said(failed) == ["shop into arn: ENABLE_FAILED"]


def test_a_handler_that_has_all_its_threads_busy_is_told_to_hang_perhaps() -> None:
    hung = {**HANDLER, "threads": {"busy": 32, "of": 32, "waiting": 7}}
    text = "\n".join(shown(status.lines({"tables": TABLES, "handlers": [hung]})))
    assert "mail: all its 32 threads are busy and 7 calls wait" in text
    assert "threads are busy" not in "\n".join(shown(status.lines({"tables": TABLES, "handlers": [HANDLER]})))


def test_status_without_handlers_says_what_to_do() -> None:
    text = shown(status.lines({"tables": [], "handlers": []}))
    assert text[0] == "There is no table yet."
    assert text[-1].endswith("tailrace dev app.py")


def test_a_handler_without_a_worker_shows_no_progress_time() -> None:
    row = shown(
        status.lines(
            {"tables": [], "handlers": [{**HANDLER, "last_progress_ms": None, "lag_ms": 0, "threads": None}]}
        )
    )[3]
    assert row.split() == ["mail", "shop", "none", "7", "3", "0", "2", "0", "-", "-"]


def test_a_story_names_every_end() -> None:
    handlers = [
        {"handler": "a", "state": "handled"},
        {"handler": "b", "state": "waiting", "before_it": 3, "waiting_ms": 90_000},
        {"handler": "c", "state": "waiting", "before_it": 0, "waiting_ms": 5},
        {"handler": "d", "state": "discarded", "attempts": 6, "error": "SMTPError: no\x1b[2J",
         "traceback": "one\ntwo\n", "last_failure_ms": 1},
    ]  # fmt: skip
    text = shown(why.lines({"changes": [{**CHANGE, "handlers": handlers}], "older": 2}))
    assert text[0].startswith("23:59:01.250  INSERT  shop/o1")
    assert "sequence number 1007" in text[1]
    assert text[2].split() == ["handled", "a"]
    assert text[3].endswith("b: 3 before it are not settled, for 1m30s")
    assert "it is the next one" in text[4]
    assert text[5].endswith("d: after 6 attempts, last failure 1970-01-01T00:00:00.001Z")
    assert text[6].strip() == "SMTPError: no\\x1b[2J"
    assert [line.strip() for line in text[7:9]] == ["one", "two"]
    assert text[-1].endswith("--last 3")


def test_a_change_that_waits_behind_a_parked_one_names_no_failure_of_its_own() -> None:
    waits = {
        "handler": "mail",
        "state": "parked",
        "condition": "KeyParked",
        "attempts": 0,
        "error": "",
        "traceback": "",
        "last_failure_ms": 0,
    }
    text = shown(why.lines({"changes": [{**CHANGE, "handlers": [waits]}], "older": 0}))
    assert text[-1].endswith("mail: it waits behind an earlier change of its item, which failed")


def test_what_runs_and_what_is_tried_again_is_told_with_its_times() -> None:
    handlers = [
        {"handler": "a", "state": "running", "running_ms": 3_000, "before_it": 0, "waiting_ms": 9_000},
        {"handler": "b", "state": "retrying", "attempts": 2, "first_failure_ms": 1_000,
         "last_failure_ms": 2_000,
         "before_it": 0, "waiting_ms": 9_000, "error": "OSError: away", "traceback": "line 17\n"},
    ]  # fmt: skip
    text = shown(why.lines({"changes": [{**CHANGE, "handlers": handlers}], "older": 0}))
    assert text[2].endswith("running    a: at its handler for 3s")
    assert text[3].endswith(
        "b: after 2 attempts, fails since 1970-01-01T00:00:01.000Z, last failure 1970-01-01T00:00:02.000Z"
    )
    assert [line.strip() for line in text[4:]] == ["OSError: away", "line 17"]


def test_a_change_that_nobody_reads_says_so() -> None:
    text = shown(why.lines({"changes": [CHANGE], "older": 0}))
    assert text[-1].strip().startswith("unread")


def test_coverage_counts_and_names_what_is_missing() -> None:
    text = "\n".join(
        shown(
            coverage.lines(
                [
                    {"service": "D", "operation": "GetItem", "state": "yes", "not_emulated": [], "note": ""},
                    {
                        "service": "D",
                        "operation": "Query",
                        "state": "partly",
                        "not_emulated": ["X"],
                        "note": "",
                    },
                    {
                        "service": "L",
                        "operation": "Invoke",
                        "state": "partly",
                        "not_emulated": [],
                        "note": "versions.",
                    },
                    {
                        "service": "D",
                        "operation": "TagResource",
                        "state": "no",
                        "not_emulated": [],
                        "note": "",
                    },
                ]
            )
        )
    )
    assert text.startswith(
        "3 of 4 operations are there:\nD\n  yes     GetItem\n  partly  Query\n          not yet: X\n"
        "L\n  partly  Invoke\n          not yet: versions."
    )
    assert text.endswith("D\n  TagResource")
