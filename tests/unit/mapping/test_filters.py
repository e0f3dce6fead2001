"""Filter criteria: what is read, what is refused, and that a record is judged as its
Lambda event would be.
"""

from typing import Any

import orjson
import pytest

from tailrace.errors import SettingsError
from tailrace.mapping.filters import RecordFilter, read_filter_criteria
from tailrace.mapping.settings import MappingSettings
from tailrace.patterns.pattern import compile_pattern
from tailrace.streams.envelopes import event_id, lambda_record
from tailrace.streams.record import ChangeRecord, ViewType

ARN = "arn:aws:dynamodb:eu-west-1:000000000000:table/orders/stream/2026-01-01T00:00:00.000"
RECORD = ChangeRecord(
    77,
    1,
    "MODIFY",
    1_700_000_123_456_000,
    250,
    0,
    b"k",
    b'{"pk":{"S":"o1"}}',
    old=b'{"pk":{"S":"o1"},"status":{"S":"new"},"total":{"N":"10"}}',
    new=b'{"pk":{"S":"o1"},"status":{"S":"paid"},"total":{"N":"12"},"a.b":{"S":"dotted"},"tags":{"L":[{"S":"x"}]}}',
    by_ttl=False,
    keys_size=4,
    new_size=120,
)
EXPIRED = ChangeRecord(
    78,
    1,
    "REMOVE",
    1_700_000_200_000_000,
    99,
    0,
    b"k",
    b'{"pk":{"S":"o1"}}',
    old=RECORD.old,
    new=None,
    by_ttl=True,
    keys_size=4,
    new_size=0,
)
VIEWS: list[ViewType] = ["NEW_AND_OLD_IMAGES", "NEW_IMAGE", "OLD_IMAGE", "KEYS_ONLY"]
PATTERNS: list[dict[str, Any]] = [
    {},
    {"eventName": ["MODIFY"]},
    {"eventName": [{"anything-but": "MODIFY"}]},
    {"eventName": ["REMOVE"],
     "userIdentity": {"type": ["Service"], "principalId": ["dynamodb.amazonaws.com"]}},
    {"userIdentity": {"type": [{"exists": False}]}},
    {"userIdentity": [{"exists": False}]},
    {"awsRegion": ["eu-west-1"], "eventSource": ["aws:dynamodb"], "eventVersion": ["1.1"]},
    {"eventSourceARN": [{"suffix": "stream/2026-01-01T00:00:00.000"}]},
    {"eventID": [event_id(RECORD)]},
    {"dynamodb": {"NewImage": {"status": {"S": ["paid", "sent"]}}}},
    {"dynamodb": {"NewImage": {"status": ["paid"]}}},
    {"dynamodb": {"NewImage": {"total": {"N": [{"numeric": [">", 1]}]}}}},
    {"dynamodb": {"NewImage": {"a.b": {"S": ["dotted"]}}}},
    {"dynamodb": {"NewImage": {"a": {"b": {"S": ["dotted"]}}}}},
    {"dynamodb": {"NewImage": {"tags": {"L": {"S": ["x"]}}}}},
    {"dynamodb": {"OldImage": {"status": {"S": [{"anything-but": "paid"}]}}}},
    {"dynamodb": {"OldImage": [{"exists": False}]}},
    {"dynamodb": {"Keys": {"pk": {"S": [{"prefix": "o"}]}}}},
    {"dynamodb": {"SequenceNumber": [{"exists": True}]}},
    {"dynamodb": {"SizeBytes": [{"numeric": [">", 100, "<=", 250]}]}},
    {"dynamodb": {"StreamViewType": ["NEW_IMAGE", "KEYS_ONLY"]}},
    {"dynamodb": {"ApproximateCreationDateTime": [{"numeric": [">=", 1_700_000_200]}]}},
    {"dynamodb": [{"exists": False}]},
    {"$or": [{"eventName": ["INSERT"]}, {"dynamodb": {"NewImage": {"status": {"S": ["paid"]}}}}]},
    {"nothing": ["x"]},
    {"nothing": [{"exists": False}]},
]  # fmt: skip


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("record", [RECORD, EXPIRED], ids=["changed", "expired"])
@pytest.mark.parametrize("given", PATTERNS, ids=lambda given: orjson.dumps(given).decode()[:60])
def test_a_record_is_judged_as_its_lambda_event(
    given: dict[str, Any], record: ChangeRecord, view: ViewType
) -> None:
    pattern = compile_pattern(given)
    event = orjson.loads(lambda_record(record, ARN, view, "eu-west-1"))
    assert RecordFilter([pattern], ARN, view, "eu-west-1")(record) is pattern.matches(event)


def test_the_patterns_of_this_table_let_some_pass_and_stop_others() -> None:
    for record in (RECORD, EXPIRED):
        passed = [
            RecordFilter([compile_pattern(given)], ARN, "NEW_AND_OLD_IMAGES", "eu-west-1")(record)
            for given in PATTERNS
        ]
        assert 5 < sum(passed) < len(PATTERNS) - 5


def test_filters_are_joined_by_or_and_an_image_is_not_decoded_without_need() -> None:
    broken = ChangeRecord(1, 1, "INSERT", 0, 1, 0, b"k", b"no json", old=None, new=b"no json")
    patterns = read_filter_criteria(
        {
            "Filters": [
                {"Pattern": '{"eventName": ["REMOVE"], "dynamodb": {"OldImage": {"a": {"S": ["x"]}}}}'},
                {"Pattern": '{"eventName": ["INSERT"]}'},
            ]
        }
    )
    assert RecordFilter(patterns, ARN, "NEW_AND_OLD_IMAGES", "eu-west-1")(broken)


@pytest.mark.parametrize("criteria", [None, {}, {"Filters": []}])
def test_no_filters_are_no_filters(criteria: object) -> None:
    assert read_filter_criteria(criteria) == ()


@pytest.mark.parametrize(
    ("criteria", "words"),
    [
        ([], "FilterCriteria: [] is not allowed"),
        ({"Filter": []}, "FilterCriteria: {'Filter': []} is not allowed"),
        ({"Filters": [{"Patern": "{}"}]}, "FilterCriteria.Filters[0]: {'Patern': '{}'} is not allowed"),
        ({"Filters": [{"Pattern": 3}]}, "FilterCriteria.Filters[0]: {'Pattern': 3} is not allowed"),
        ({"Filters": [{"Pattern": "{}"}] * 6},
         "FilterCriteria: 6 filters are too many; at most 5 are allowed"),
        ({"Filters": [{"Pattern": '{"a": ["' + "x" * 4_086 + '"]}'}]},
         "FilterCriteria.Filters[0]: a pattern has at most 4,096 characters, this one 4,097"),
        ({"Filters": [{"Pattern": "{}"}, {"Pattern": '{"a": "b"}'}]},
         'FilterCriteria.Filters[1]: Invalid filter pattern definition. "a" must be an object or an array'),
        ({"Filters": [{"Pattern": '{"a": [{"wildcard": "*"}]}'}]},
         "FilterCriteria.Filters[0]: Invalid filter pattern definition. Unsupported match type wildcard"),
    ],
)  # fmt: skip
def test_wrong_criteria_are_refused_with_their_place(criteria: object, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_filter_criteria(criteria)
    assert str(caught.value).startswith(words)


def test_a_pattern_of_the_longest_length_and_five_filters_are_taken() -> None:
    longest = '{"a": ["' + "x" * 4_085 + '"]}'
    assert len(longest) == 4_096
    assert len(read_filter_criteria({"Filters": [{"Pattern": longest}] * 5})) == 5


def test_operators_of_event_buses_are_an_opt_in() -> None:
    criteria = {
        "Filters": [{"Pattern": {"dynamodb": {"NewImage": {"status": {"S": [{"wildcard": "p*d"}]}}}}}]
    }
    with pytest.raises(SettingsError, match="only event buses have it"):
        MappingSettings.for_lambda("m", FilterCriteria=criteria)
    chosen = MappingSettings.for_lambda("m", FilterCriteria=criteria, pattern_dialect="event-bus")
    accepts = chosen.reading(ARN, "NEW_IMAGE", "eu-west-1").accepts
    assert accepts is not None
    assert (accepts(RECORD), accepts(EXPIRED)) == (True, False)


def test_filters_and_accepts_must_both_say_yes() -> None:
    insert_only = MappingSettings.for_lambda(
        "m",
        accepts=lambda record: record.event_name == "MODIFY",
        FilterCriteria={"Filters": [{"Pattern": '{"dynamodb": {"Keys": {"pk": {"S": ["o1"]}}}}'}]},
    )
    accepts = insert_only.reading(ARN, "KEYS_ONLY", "eu-west-1").accepts
    assert accepts is not None
    assert (accepts(RECORD), accepts(EXPIRED)) == (True, False)
