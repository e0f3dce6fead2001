"""Failure documents, byte for byte, against the table in documents.py."""

import json

import pytest

from tailrace.deadletters.core.document import InvocationFailure
from tests.unit.deadletters.documents import CASES, EVENT, NAME, Case, Made

EACH = pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)


@EACH
def test_a_queue_and_a_topic_get_these_bytes(case: Case) -> None:
    assert Made(case).message == case.message.encode()


@EACH
def test_a_bucket_gets_these_bytes(case: Case) -> None:
    assert Made(case).object == case.object
    assert json.loads(case.object)["payload"].encode() == EVENT


def test_the_object_says_mapping_shard_and_moment_in_its_name() -> None:
    assert Made(CASES[0]).object_name == NAME


def test_every_condition_has_its_cases_with_and_without_records_and_window() -> None:
    def kind(told: InvocationFailure, count: int) -> tuple[str, bool, bool]:
        return told.condition, told.window is not None, count > 0

    kinds = {kind(case.told, len(case.records)) for case in CASES}
    conditions = ("RetryAttemptsExhausted", "RecordAgeExceeded")
    assert kinds == {
        (condition, *shape)
        for condition in conditions
        for shape in ((False, True), (True, True), (True, False))
    }
