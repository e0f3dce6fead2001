"""Wrong settings are refused by name, value and bound; AWS's names and defaults are AWS's."""

from typing import Any

import pytest

from tailrace.errors import SettingsError
from tailrace.mapping.settings import INFINITE, Backoff, MappingSettings
from tailrace.patterns.pattern import compile_pattern

WHOLE: dict[str, Any] = {"order": "shard", "on_failure": "discard"}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"batch_size": 0}, "batch_size: 0 is not allowed; it is a whole number from 1 to 10000"),
    ({"batch_size": 10_001}, "batch_size: 10001 is not allowed; it is a whole number from 1 to 10000"),
    ({"batch_size": True}, "batch_size: True is not allowed; it is a whole number from 1 to 10000"),
    ({"batch_size": 1.5}, "batch_size: 1.5 is not allowed; it is a whole number from 1 to 10000"),
    ({"batching_window_ms": 300_001},
     "batching_window_ms: 300001 is not allowed; it is a whole number from 0 to 300000"),
    ({"parallelization_factor": 11},
     "parallelization_factor: 11 is not allowed; it is a whole number from 1 to 10"),
    ({"maximum_retry_attempts": -2},
     "maximum_retry_attempts: -2 is not allowed; it is a whole number from -1 to 10000"),
    ({"maximum_record_age_ms": 59_999},
     "maximum_record_age_ms: 59999 is not allowed; it is -1, or a whole number from 60000 to 604800000"),
    ({"concurrency": 0}, "concurrency: 0 is not allowed; it is a whole number from 1 to 1000"),
    ({"max_keys": 0}, "max_keys: 0 is not allowed; it is a whole number from 1 to 1000000"),
    ({"max_per_key": 0}, "max_per_key: 0 is not allowed; it is a whole number from 1 to 1000000"),
    ({"buffer_records": 0}, "buffer_records: 0 is not allowed; it is a whole number from 1 to 1000000"),
    ({"buffer_bytes": 0}, "buffer_bytes: 0 is not allowed; it is a whole number from 1 to 1099511627776"),
    ({"order": "random"}, "order: 'random' is not allowed; it is 'key', 'lane' or 'shard'"),
    ({"order": "shard"}, "on_failure: 'park' is not allowed with order='shard'; it is 'discard' (a refused "
     "record becomes a dead letter) or 'block' (the shard stops at it)"),
    ({**WHOLE, "on_failure": "drop"}, "on_failure: 'drop' is not allowed with order='shard'; it is "
     "'discard' (a refused record becomes a dead letter) or 'block' (the shard stops at it)"),
    ({**WHOLE, "concurrency": 2},
     "concurrency: 2 is not allowed with order='shard'; one batch of a shard is in flight at a time"),
    ({**WHOLE, "parallelization_factor": 2}, "parallelization_factor: 2 is not allowed with order='shard'; "
     "one batch of a shard is in flight at a time"),
    ({**WHOLE, "maximum_record_age_ms": 60_000}, "maximum_record_age_ms: 60000 is not allowed with "
     "order='shard'; no record is too old to be in sequence"),
    ({**WHOLE, "bisect_batch_on_function_error": False}, "bisect_batch_on_function_error: False is not "
     "allowed with order='shard'; a refused record is found by halves"),
    ({"is_transactional": True}, "order='key' is not allowed for a target that has the position beside its "
     "rows; it is order='shard' with on_failure='discard' or 'block'"),
    ({**WHOLE, "on_failure": "block", "accepts": bool}, "a filter is not allowed with order='shard'; with "
     "on_failure='block' nothing of the shard is left out"),
    ({**WHOLE, "on_failure": "block", "filters": (compile_pattern({}),)},
     "a filter is not allowed with order='shard'; with on_failure='block' nothing of the "
     "shard is left out"),
    ({**WHOLE, "tumbling_window_ms": 1_000},
     "TumblingWindowInSeconds: 1 is not allowed with order='shard'; windows belong to functions"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "text"), REFUSED, ids=[str(values) for values, _ in REFUSED])
def test_a_wrong_value_is_refused_by_name_value_and_bound(values: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        MappingSettings("m", **values)
    assert str(refused.value) == text


def test_a_whole_shard_may_be_filtered_or_stop() -> None:
    assert MappingSettings("m", **WHOLE, accepts=bool).accepts is bool
    assert MappingSettings("m", order="shard", on_failure="block").on_failure == "block"


def test_a_mapping_needs_a_name() -> None:
    with pytest.raises(SettingsError, match="id: '' is not allowed"):
        MappingSettings("")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Backoff(base_ms=-1), "backoff.base_ms: -1 is not allowed"),
        (lambda: Backoff(factor=0.5), "backoff.factor: 0.5 is not allowed; it is a number from 1 to 10"),
    ],
)  # fmt: skip
def test_a_wrong_part_is_refused_too(make: Any, text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        make()
    assert str(refused.value).startswith(text)


def test_lambda_has_the_defaults_of_aws() -> None:
    settings = MappingSettings.for_lambda("m")
    assert (settings.order, settings.batch_size, settings.batching_window_ms) == ("lane", 100, 0)
    assert (settings.maximum_retry_attempts, settings.maximum_record_age_ms) == (INFINITE, INFINITE)
    assert (settings.bisect_batch_on_function_error, settings.report_batch_item_failures) == (False, False)
    assert (settings.parallelization_factor, settings.breaker) == (1, None)


def test_the_names_of_aws_are_read_in_their_units() -> None:
    settings = MappingSettings.for_lambda(
        "m",
        BatchSize=7,
        MaximumBatchingWindowInSeconds=5,
        ParallelizationFactor=3,
        MaximumRetryAttempts=2,
        MaximumRecordAgeInSeconds=60,
        BisectBatchOnFunctionError=True,
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )
    assert (settings.batch_size, settings.batching_window_ms, settings.parallelization_factor) == (
        7,
        5_000,
        3,
    )
    assert (settings.maximum_retry_attempts, settings.maximum_record_age_ms) == (2, 60_000)
    assert settings.bisect_batch_on_function_error
    assert settings.report_batch_item_failures
    assert MappingSettings.for_lambda("m", MaximumRecordAgeInSeconds=-1).maximum_record_age_ms == INFINITE


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"BatchSize": 0}, "BatchSize: 0 is not allowed; it is a whole number from 1 to 10000"),
        ({"MaximumBatchingWindowInSeconds": 301},
         "MaximumBatchingWindowInSeconds: 301 is not allowed; it is a whole number from 0 to 300"),
        ({"MaximumRecordAgeInSeconds": 59},
         "MaximumRecordAgeInSeconds: 59 is not allowed; it is -1, or a whole number from 60 to 604800"),
        ({"FunctionResponseTypes": ["Other"]}, "FunctionResponseTypes: ['Other'] is not allowed"),
        ({"BisectBatchOnFunctionError": "yes"},
         "BisectBatchOnFunctionError: 'yes' is not allowed; it is true or false"),
        ({"StartingPosition": "AT_TIMESTAMP"}, "StartingPosition: 'AT_TIMESTAMP' is not allowed; of a "
         "DynamoDB stream it is 'TRIM_HORIZON' or 'LATEST'"),
        ({"BatchSizes": 3}, "BatchSizes: no such setting; there are BatchSize, BisectBatchOnFunctionError, "
         "DestinationConfig, Environment, "),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_in_the_name_of_aws(values: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        MappingSettings.for_lambda("m", **values)
    assert str(refused.value).startswith(text)


def test_the_buffer_holds_at_least_one_batch() -> None:
    assert MappingSettings("m", batch_size=5_000).capacity == 5_000
    assert MappingSettings("m").capacity == 2_000
