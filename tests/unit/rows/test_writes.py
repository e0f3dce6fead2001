"""What a condition means, at its bound and one past it, and which formats are read."""

import pytest

from tailrace.errors import StoreError
from tailrace.rows.writes import ALWAYS, Absent, AbsentOrOlder, Condition, Equals, holds, readable
from tailrace.streams.version import Version


@pytest.mark.parametrize(
    ("condition", "fields", "is_held"),
    [
        (ALWAYS, None, True),
        (ALWAYS, {}, True),
        (Absent(), None, True),
        (Absent(), {}, False),
        (Equals("epoch", 3), None, False),
        (Equals("epoch", 3), {}, False),
        (Equals("epoch", 3), {"epoch": 3}, True),
        (Equals("epoch", 3), {"epoch": 4}, False),
        (AbsentOrOlder(Version(1, 5)), None, True),
        (AbsentOrOlder(Version(1, 5)), {}, True),
        (AbsentOrOlder(Version(1, 5)), {"sequence": 4}, True),
        (AbsentOrOlder(Version(1, 5)), {"sequence": 5}, False),
        (AbsentOrOlder(Version(2, 1)), {"sequence": 5}, True),
        (AbsentOrOlder(Version(2, 1)), {"version": Version(1, 5).text}, True),
        (AbsentOrOlder(Version(2, 1)), {"version": Version(2, 1).text}, False),
    ],
)
def test_a_condition_holds_of_a_row_as_it_says(
    condition: Condition, fields: dict[str, int | str] | None, is_held: bool
) -> None:
    assert holds(condition, fields) is is_held


def test_a_row_of_a_newer_format_is_refused_in_words() -> None:
    assert readable({"v": 2}, "head", 2) == {"v": 2}
    with pytest.raises(StoreError, match="This head has format 3; this version reads 1 to 2"):
        readable({"v": 3}, "head", 2)
