"""Warnings about AWS's defaults."""

import pytest
from msgspec import structs

from tailrace.cli.dangers import dangers
from tailrace.mapping.settings import MappingSettings

LANE = MappingSettings(
    "legacy", order="lane", maximum_retry_attempts=-1, bisect_batch_on_function_error=False, breaker=None
)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ["have no end", "again and again"]),
        ({"bisect_batch_on_function_error": True}, ["have no end"]),
        ({"report_batch_item_failures": True}, ["have no end"]),
        ({"maximum_retry_attempts": 3}, ["again and again", "on-failure destination"]),
        ({"maximum_record_age_ms": 60_000}, ["again and again", "on-failure destination"]),
        ({"batch_size": 1}, ["have no end"]),
        (
            {"maximum_retry_attempts": 3, "report_batch_item_failures": True},
            ["given up with its bad record", "on-failure destination"],
        ),
        (
            {"maximum_retry_attempts": 3, "bisect_batch_on_function_error": True},
            ["on-failure destination"],
        ),
    ],
)
def test_each_dangerous_setting_is_named_once(changes: dict[str, object], words: list[str]) -> None:
    said = list(dangers(structs.replace(LANE, **changes)))  # type: ignore[arg-type]
    assert len(said) == len(words)
    for sentence, word in zip(said, words, strict=True):
        assert word in sentence


def test_the_safe_defaults_have_no_warning() -> None:
    assert list(dangers(MappingSettings("mail"))) == []
