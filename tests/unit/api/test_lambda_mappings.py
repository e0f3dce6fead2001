"""Event source mappings: rows that an older or newer version wrote, and the documents of them."""

from typing import Any

from tailrace.api.lambdas.mappings import EventSourceMapping, document, read_mapping
from tailrace.api.lambdas.settings import DEFAULTS

ROW = {
    "v": 1, "function": "tally", "stream_arn": "arn", "table": "orders", "position": "LATEST",
    "enabled": True,
    "settings": dict(DEFAULTS), "modified_ms": 1_500, "deleting": False,
}  # fmt: skip


def told(**changes: Any) -> dict[str, Any]:
    """The document of a row."""
    mapping = read_mapping("esm/one", {**ROW, **changes})
    return document(mapping, "Enabled", "OK", "us-east-1", "000000000000")


def test_a_row_from_before_there_were_tags_has_none() -> None:
    assert read_mapping("esm/one", ROW).tags == {}


def test_a_mapping_is_its_row() -> None:
    mapping = EventSourceMapping(
        "one",
        "tally",
        "arn",
        "orders",
        "LATEST",
        enabled=True,
        settings=DEFAULTS,
        modified_ms=1,
        tags={"team": "a"},
    )
    assert read_mapping(mapping.key, mapping.fields()) == mapping


def test_filter_criteria_that_cannot_be_read_are_told_instead_of_shown() -> None:
    criteria = {"Filters": [{"Pattern": '{"eventName": [{"unheard-of": 1}]}'}]}
    answer = told(settings={**DEFAULTS, "FilterCriteria": criteria})
    assert "FilterCriteria" not in answer
    assert answer["FilterCriteriaError"]["ErrorCode"] == "InvalidParameterValueException"
    assert "Invalid filter pattern definition." in answer["FilterCriteriaError"]["Message"]
    assert "FilterCriteriaError" not in told()
    assert told()["LastModified"] == 1.5
