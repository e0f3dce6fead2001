"""What a server's answers mean: the table of item results, and of whole requests."""

from typing import Any

import pytest

from tailrace.errors import Refused, SinkError, Throttled, Unavailable
from tailrace.ports import FailureKind
from tailrace.sinks.search.answers import (
    ActionResult,
    RequestTooLarge,
    bulk_items,
    item_answer,
    read_answer,
    whole_hits,
)

RECORD, THROTTLED, UNAVAILABLE = FailureKind.RECORD, FailureKind.THROTTLED, FailureKind.UNAVAILABLE


def error(kind: str, reason: str = "because") -> dict[str, Any]:
    return {"type": kind, "reason": reason}


@pytest.mark.parametrize(
    ("action", "answer", "expected"),
    [
        ("index", {"status": 200}, ActionResult.DONE),
        ("create", {"status": 201}, ActionResult.DONE),
        ("delete", {"status": 200}, ActionResult.DONE),
        ("delete", {"status": 404, "result": "not_found"}, ActionResult.GONE),
        (
            "index",
            {"status": 409, "error": error("version_conflict_engine_exception")},
            ActionResult.CONFLICT,
        ),
        (
            "delete",
            {"status": 409, "error": error("version_conflict_engine_exception")},
            ActionResult.CONFLICT,
        ),
    ],
)
def test_an_action_is_done_or_met_a_conflict(
    action: str, answer: dict[str, Any], expected: ActionResult
) -> None:
    told = item_answer(action, answer)
    assert (told.result, told.failure) == (expected, None)


@pytest.mark.parametrize(
    ("status", "kind", "reason", "expected", "final"),
    [
        (429, "es_rejected_execution_exception", "queue", THROTTLED, False),
        (429, "circuit_breaking_exception", "too large", THROTTLED, False),
        (503, "rejected_execution_exception", "queue", THROTTLED, False),
        (503, "unavailable_shards_exception", "primary", UNAVAILABLE, False),
        (502, "bad_gateway", "proxy", UNAVAILABLE, False),
        (403, "cluster_block_exception", "blocked by: [FORBIDDEN/8/index write]", UNAVAILABLE, False),
        (429, "cluster_block_exception", "TOO_MANY_REQUESTS/12/disk usage", UNAVAILABLE, False),
        (404, "index_not_found_exception", "no such index", UNAVAILABLE, False),
        (403, "security_exception", "no permissions", UNAVAILABLE, False),
        (400, "index_closed_exception", "closed", UNAVAILABLE, False),
        (
            400,
            "illegal_argument_exception",
            "Limit of total fields [9] has been exceeded",
            UNAVAILABLE,
            False,
        ),
        (400, "illegal_argument_exception", "no write index is defined for alias", UNAVAILABLE, False),
        (400, "mapper_parsing_exception", "failed to parse", RECORD, True),
        (400, "document_parsing_exception", "failed to parse", RECORD, True),
        (400, "illegal_argument_exception", "immense term", RECORD, True),
        (400, "strict_dynamic_mapping_exception", "strict", RECORD, True),
        (500, "null_pointer_exception", "null", RECORD, False),
    ],
)
def test_an_error_of_an_action_is_the_documents_or_an_outage(
    status: int, kind: str, reason: str, expected: FailureKind, final: bool
) -> None:
    told = item_answer("index", {"status": status, "error": error(kind, reason)})
    assert told.result is ActionResult.FAILED
    assert told.failure is not None
    assert (told.failure.kind, told.failure.final) == (expected, final)
    assert reason in told.failure.error


@pytest.mark.parametrize(
    ("kind", "command"),
    [("cluster_block_exception", "_settings"), ("index_not_found_exception", "snapshot"),
     ("security_exception", "basic=")],
)  # fmt: skip
def test_an_outage_says_what_to_do_next(kind: str, command: str) -> None:
    failure = item_answer("index", {"status": 403, "error": error(kind)}).failure
    assert failure is not None
    assert command in failure.error.partition("next: ")[2]


def test_the_reason_of_a_refusal_has_its_cause() -> None:
    caused = {**error("mapper_parsing_exception", "failed to parse field [n]"),
              "caused_by": {"type": "illegal", "reason": "Value [x] is out of range"}}  # fmt: skip
    failure = item_answer("index", {"status": 400, "error": caused}).failure
    assert failure is not None
    assert "failed to parse field [n]: Value [x] is out of range" in failure.error


@pytest.mark.parametrize(
    ("status", "body", "raised"),
    [
        (429, b"", Throttled),
        (503, b"<html>no</html>", Unavailable),
        (502, b"", Unavailable),
        (504, b"", Unavailable),
        (401, b'{"error": "who"}', Unavailable),
        (403, b'{"Message": "not authorized to perform: es:ESHttpPost"}', Unavailable),
        (404, b'{"error": {"type": "index_not_found_exception", "reason": "no"}}', Unavailable),
        (413, b"", RequestTooLarge),
        (400, b'{"error": {"type": "parse_exception", "reason": "no"}}', Refused),
        (500, b"", SinkError),
        (200, b'{"errors": false, "items": [', Unavailable),
        (200, b"[]", Unavailable),
        (400, b'{"error": {"type": "reso', Unavailable),
        (400, b"no", Refused),
    ],
)
def test_a_whole_answer_is_read_or_raised(status: int, body: bytes, raised: type[Exception]) -> None:
    with pytest.raises(raised) as caught:
        read_answer("POST /a/_bulk", status, "", body)
    assert type(caught.value) is raised
    assert "POST /a/_bulk" in str(caught.value)


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("", 0.0), ("Fri, 31 Dec 2027", 0.0)])
def test_how_long_to_wait_is_obeyed(header: str, seconds: float) -> None:
    for status in (429, 503):
        with pytest.raises((Throttled, Unavailable)) as caught:
            read_answer("POST /a/_bulk", status, header, b"")
        assert caught.value.retry_after == seconds


@pytest.mark.parametrize(
    "items",
    [None, [], [{"index": {"_id": "b", "status": 200}}], [{"create": {"_id": "a", "status": 200}}],
     [{"index": {"_id": "a"}}], [{"index": {"_id": "a", "status": 200}}] * 2],
)  # fmt: skip
def test_an_answer_of_another_request_is_believed_in_nothing(items: Any) -> None:
    with pytest.raises(Unavailable):
        bulk_items("POST /a/_bulk", {"errors": False, "items": items}, ["index"], ["a"])


def test_success_as_a_whole_says_nothing_of_an_action() -> None:
    entry = {"_id": "a", "status": 409, "error": error("version_conflict_engine_exception")}
    (told,) = bulk_items("POST /a/_bulk", {"errors": True, "items": [{"index": entry}]}, ["index"], ["a"])
    assert told.result is ActionResult.CONFLICT


@pytest.mark.parametrize(
    "answer",
    [{"timed_out": True, "hits": {"hits": []}}, {"_shards": {"failed": 1}, "hits": {"hits": []}}, {}],
)
def test_a_part_of_an_index_is_no_answer(answer: dict[str, Any]) -> None:
    with pytest.raises(Unavailable):
        whole_hits("POST /a/_search", answer)
