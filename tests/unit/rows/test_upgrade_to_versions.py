"""Keys of before versions come under versions, each once, and what has a version stays."""

import pytest

from tailrace.rows.kinds import KINDS
from tailrace.rows.upgrade_to_versions import VERSIONED, rekeyed
from tailrace.rows.writes import Equals, StateRow, Write
from tailrace.streams.version import Version
from tests.unit.rows.every_kind import MADE

OLD = "1867531234567890123"
NEW = Version(1, int(OLD)).text


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("deadletter", f"deadletter/shop/mail/{OLD}", f"deadletter/shop/mail/{NEW}"),
        ("parked", f"parked/my%2Fshop/mail/6f31/{OLD}", f"parked/my%2Fshop/mail/6f31/{NEW}"),
        ("evacuated", f"evacuated/shop/mail/2026-11-01/shard-1/{OLD}",
         f"evacuated/shop/mail/2026-11-01/shard-1/{NEW}"),
        ("gap", f"gap/shop/mail/{OLD}", f"gap/shop/mail/{NEW}"),
        ("gap", f"gap/shop/mail/{OLD}/shard-1", f"gap/shop/mail/{NEW}/shard-1"),
        ("outbox", f"outbox/shop/mail/{OLD}", f"outbox/shop/mail/{NEW}"),
    ],
)  # fmt: skip
def test_a_sequence_number_in_a_key_becomes_a_version_of_the_first_generation(
    kind: str, before: str, after: str
) -> None:
    row = StateRow(before, {"v": 2, "n": 1})
    assert rekeyed(KINDS[kind], row) == [Write(before, None, Equals("v", 2)), Write(after, row.fields)]
    assert rekeyed(KINDS[kind], StateRow(after, row.fields)) == []


def test_a_notice_that_is_named_by_its_window_stays() -> None:
    assert rekeyed(KINDS["outbox"], StateRow("outbox/shop/mail/window-shard-1-7-1-5f-9", {"v": 2})) == []


def test_an_item_whose_key_looks_like_a_number_stays() -> None:
    key = f"parked/shop/mail/{OLD}/{NEW}"
    assert rekeyed(KINDS["parked"], StateRow(key, {"v": 3})) == []


def test_every_kind_with_a_version_in_its_key_is_known() -> None:
    text = Version(1, 42).text
    for name, made in MADE.items():
        key, _ = made("app", "mapping")
        words = key.split("/")
        if any(len(word) == len(text) and word.isdigit() for word in words):
            assert words[KINDS[name].version_word].isdigit(), name
            assert KINDS[name] in VERSIONED, name
