"""Notices: the rows of what an on-failure destination has not been told yet."""

import pytest

from tailrace.deadletters.core.notice import Notice, outbox_key, read_notice
from tailrace.errors import StoreError
from tailrace.streams.version import Version
from tailrace.streams.windows import WindowInvoke

PLAIN = Notice(
    "note",
    "shardId-1",
    (Version(1, 4), Version(2, 1)),
    "RetryAttemptsExhausted",
    2,
    3,
    1_000,
    tries=1,
    run="7-1-5f",
)
WINDOW = WindowInvoke(0, 60_000, b'{"n":1}', is_final=True, is_early=True)
FINAL = Notice(
    "note", "shardId-1", (), "RecordAgeExceeded", 2, 9, 1_000, run="7-1-5f", window=WINDOW, is_unhandled=True
)


@pytest.mark.parametrize("notice", [PLAIN, FINAL])
def test_a_notice_is_read_back(notice: Notice) -> None:
    fields = notice.fields()
    assert fields["v"] == 3
    assert read_notice(fields) == notice


def test_a_notice_of_an_older_version_has_no_run() -> None:
    fields = PLAIN.fields()
    del fields["run"], fields["versions"]
    assert read_notice({**fields, "v": 1, "sequences": [4, 6]}).run == ""
    assert read_notice({**fields, "v": 1, "sequences": [4, 6]}).versions == (Version(1, 4), Version(1, 6))


def test_a_notice_of_a_newer_format_is_refused() -> None:
    with pytest.raises(StoreError, match="format 4; this version reads 1 to 3"):
        read_notice({**PLAIN.fields(), "v": 4})


def test_a_final_invoke_has_a_row_of_its_own_in_each_run() -> None:
    assert outbox_key("shop", PLAIN) == f"outbox/shop/note/{Version(1, 4).text}"
    assert outbox_key("shop", FINAL) == "outbox/shop/note/window-shardId-1-7-1-5f-9"
