"""The log's two forms."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest

from tailrace.cli.logs import set_up
from tailrace.runtime.masking import masked
from tailrace.telemetry import LOG_FIELDS
from tests.command_line import logging_of_its_own


@pytest.fixture(autouse=True)
def _keep_root() -> Iterator[None]:
    with logging_of_its_own():
        yield


def logged(form: Literal["text", "json"]) -> str:
    stream = io.StringIO()
    set_up(form, stream)
    log = logging.getLogger("tailrace.test")
    log.debug("not shown")
    log.info("handled %d", 3, extra={"handler": "mail", "attempt": 2, "event_id": "ab", "unknown": "x"})
    try:
        raise ValueError("wrong\nvalue")
    except ValueError:
        log.exception("failed")
    return stream.getvalue()


def test_json_is_one_object_a_line_with_the_listed_fields() -> None:
    first, second = map(json.loads, logged("json").splitlines())
    assert (first["level"], first["message"], first["handler"], first["attempt"]) == (
        "info",
        "handled 3",
        "mail",
        2,
    )
    assert set(first) | set(second) <= set(LOG_FIELDS)
    assert "ValueError: wrong\nvalue" in second["trace"]
    assert first["time"].endswith("Z")


def test_a_trace_may_be_the_text_that_a_handler_left() -> None:
    stream = io.StringIO()
    set_up("json", stream)
    logging.getLogger("tailrace.test").warning("gave up", extra={"trace": "line 1\nline 2"})
    assert json.loads(stream.getvalue())["trace"] == "line 1\nline 2"


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_line_without_a_hint_names_no_next_step(form: Literal["text", "json"]) -> None:
    stream = io.StringIO()
    set_up(form, stream)
    logging.getLogger("tailrace.test").warning("it is away", extra={"hint": None, "handler": "mail"})
    assert "next" not in stream.getvalue()
    assert "hint" not in stream.getvalue()
    assert "mail" in stream.getvalue()


def test_text_is_for_people() -> None:
    text = logged("text")
    assert "info    handled 3  event_id=ab  handler=mail  attempt=2\n" in text
    assert "ValueError: wrong" in text
    assert "not shown" not in text


def failure_in_text(*, verbose: bool) -> str:
    stream = io.StringIO()
    set_up("text", stream, verbose=verbose)
    extra = {"place": "app.py:12", "trace": "Traceback (most recent call last):\n  somewhere", "attempt": 1}
    logging.getLogger("tailrace.test").warning("mail failed at o1: ValueError: no", extra=extra)
    return stream.getvalue()


def test_a_failure_is_one_line_with_its_cause_and_its_place() -> None:
    (line,) = failure_in_text(verbose=False).splitlines()
    assert line.endswith("mail failed at o1: ValueError: no  attempt=1  place=app.py:12")


def test_the_trace_of_a_failure_stands_under_its_line_when_everything_is_wanted() -> None:
    assert failure_in_text(verbose=True).splitlines()[1:] == [
        "Traceback (most recent call last):",
        "  somewhere",
    ]


def test_setting_up_twice_writes_each_line_once() -> None:
    set_up("text", io.StringIO())
    assert logged("text").count("handled 3") == 1


def test_accounts_and_keys_are_masked_in_both_forms() -> None:
    secret = "arn:aws:iam::123456789012:user/a may not; key ASIAEXAMPLEEXAMPLE of account 123456789012"
    for form in ("json", "text"):
        stream = io.StringIO()
        set_up(form, stream)  # type: ignore[arg-type]
        logging.getLogger("tailrace.test").error("%s", secret)
        text = stream.getvalue()
        assert "123456789012" not in text
        assert "ASIAEXAMPLE" not in text
        assert "arn:aws:iam::***:user/a may not" in text


def test_sequence_numbers_times_and_ids_are_not_masked() -> None:
    kept = "1795860000000 000000000000000000007 shardId-00000001789651619772-2a9e5aad e123456789012f"
    assert masked(kept) == kept
