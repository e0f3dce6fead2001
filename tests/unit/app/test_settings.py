"""The settings that type checkers and completion show are those that there are: not one
more, not one less.
"""

import inspect
import re
from typing import Any, Unpack, get_args, get_origin, get_type_hints

import pytest

from tailrace import App
from tailrace.app.function_settings import NAMES as FUNCTION_NAMES
from tailrace.app.settings import NAMES, BatchSettings, HandlerSettings, LambdaSettings, SinkSettings
from tailrace.errors import SettingsError
from tailrace.mapping.settings import AWS_NAMES, OTHERS, MappingSettings

WORDS_OF_THEIR_OWN = {
    "id", "order", "accepts", "maximum_retry_attempts", "backoff", "report_batch_item_failures",
    "parallelization_factor",
    "on_failure", "max_keys", "max_per_key", "starts_at_end", "is_transactional",
    "disorder_ms", "waits_always", "max_waiting",
}  # fmt: skip
"""What is said by `id=`, `where=`, `retry=`, `on_failure=`, `app.kinesis`, or is of functions or a sink
alone.
"""


def test_every_setting_of_a_mapping_is_shown_or_has_a_word_of_its_own() -> None:
    there_are = set(MappingSettings.__struct_fields__)
    assert there_are - WORDS_OF_THEIR_OWN == NAMES
    hints = get_type_hints(SinkSettings)
    told = get_type_hints(MappingSettings)
    assert {name: hints[name] for name in NAMES} == {name: told[name] for name in NAMES}


def test_every_setting_of_a_function_is_shown() -> None:
    shown = {name for name in get_type_hints(LambdaSettings) if name not in NAMES}
    assert shown == {*AWS_NAMES, *OTHERS, *FUNCTION_NAMES, "pattern_dialect"}


@pytest.mark.parametrize(
    ("verb", "settings"),
    [
        ("on", HandlerSettings), ("batch", BatchSettings), ("sink", SinkSettings),
        ("projection", HandlerSettings),
        ("window", BatchSettings), ("function", LambdaSettings),
    ],
)  # fmt: skip
def test_a_signature_says_which_settings_it_takes(verb: str, settings: Any) -> None:
    method = getattr(App, verb)
    shown = get_type_hints(method)["settings"]
    assert (get_origin(shown), get_args(shown)) == (Unpack, (settings,))
    explicit = inspect.signature(method).parameters.keys() - {"settings"}
    assert explicit & get_type_hints(settings).keys() == set()


# ---- changes over data streams and over shards -------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"stream": None}, "kinesis: None is no data stream's name"),
        ({"disorder": 5}, "kinesis: disorder=5 is no duration"),
        ({"disorder": None}, "kinesis: disorder=None is no duration"),
        ({"waits_always": "no"}, "kinesis: waits_always='no' is not allowed"),
    ],
)
def test_a_data_stream_of_changes_takes_no_value_of_a_wrong_kind(given: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(words)):
        App("shop").kinesis(**{"stream": "copies", **given})


@pytest.mark.parametrize("wait", [1, None, True])
def test_a_bound_on_waiting_that_is_no_text_is_no_duration(wait: Any) -> None:
    app = App("shop")
    with pytest.raises(SettingsError, match=f"merged: wait={wait} is no duration"):
        app.merged(app.table("orders", pk="id"), wait=wait)


def test_a_data_stream_of_changes_without_its_table_is_told_by_what_was_written() -> None:
    app = App("shop")
    with pytest.raises(SettingsError, match=r"^app\.kinesis\('copies'\) is no table.*\.of\(orders\)"):
        app.on(app.kinesis("copies"))  # type: ignore[arg-type]
