"""Rows of builds and of projections come back as they were, and one of another format is refused."""

import orjson
import pytest

from tailrace.errors import StoreError
from tailrace.projections.core.builds import (
    MOST_FAILED,
    Build,
    build_fields,
    next_name,
    read_build,
    read_served,
    served_fields,
)
from tailrace.projections.core.rows import (
    BUCKETS,
    AppliedItem,
    GroupState,
    RowChange,
    bucket_of,
    group_fields,
    item_fields,
    read_group_row,
    read_item_row,
)
from tailrace.projections.run.state_store import condition_of
from tailrace.rows.writes import Equals
from tailrace.streams.version import Version


def test_a_build_comes_back_as_it_was() -> None:
    build = Build(
        "sales", "2.1", "state", False, 7, {"pk": {"S": "a"}}, 3, 1, (("aa", "ValueError: no"),), 9, 4
    )
    assert read_build(build_fields(build)) == build
    assert (build.version, build.number) == (2, 1)
    assert read_served(served_fields("sales", "orders", "2.1")) == "2.1"
    assert read_served(None) is None


@pytest.mark.parametrize(
    ("position", "since", "row_format"),
    [(2**63 - 1, 5, 1), (2**63, 5, 2), (10**40 - 1, 10**39, 2), (7, 2**63, 2)],
)
def test_numbers_of_another_server_are_text_and_the_row_says_so(
    position: int, since: int, row_format: int
) -> None:
    build = Build("sales", "1", position=position, since=since, claimed_by="one", claim=3, beat=2)
    fields = orjson.loads(orjson.dumps(build_fields(build)))
    assert (read_build(fields), fields["v"]) == (build, row_format)
    assert type(fields["position"]) is (int if position < 2**63 else str)
    with pytest.raises(StoreError, match="format 5; this version reads 1 to 4"):
        read_build({**fields, "v": 5})


def test_a_build_whose_groups_may_have_parts_says_so_in_a_format_that_older_versions_refuse() -> None:
    build = Build("sales", "1", is_parted=True)
    fields = build_fields(build)
    assert (read_build(fields), fields["v"], fields["parts"]) == (build, 2, True)
    assert "parts" not in build_fields(Build("sales", "1"))


def test_a_build_from_pages_without_positions_says_so_in_a_format_that_older_versions_refuse() -> None:
    build = Build("sales", "1", is_timed=True, seen_ms=7, is_parted=True)
    fields = build_fields(build)
    assert (read_build(fields), fields["v"], fields["timed"], fields["seen_ms"]) == (build, 3, True, 7)
    assert "timed" not in build_fields(Build("sales", "1"))


@pytest.mark.parametrize(
    ("present", "name"), [([], "2"), (["1", "1.4"], "2"), (["2"], "2.1"), (["2", "2.9", "2.10"], "2.11")]
)
def test_the_next_build_has_the_next_number(present: list[str], name: str) -> None:
    assert next_name(2, [Build("sales", existing) for existing in present]) == name


def test_a_page_counts_all_failures_and_names_some() -> None:
    failed = [(f"{number:02x}", "no") for number in range(MOST_FAILED + 1)]
    build = Build("sales", "1").with_page(5, {"id": {"S": "a"}}, 9, failed).with_page(6, None, 1, failed)
    assert (build.filled, build.failures, len(build.failed)) == (10, 2 * (MOST_FAILED + 1), MOST_FAILED)
    assert (build.is_filled, build.since, build.position) == (True, 5, 6)
    assert build.begun_again() == Build("sales", "1")
    timed = Build("sales", "1", is_timed=True, seen_ms=3).with_page(5, None, 9, failed)
    assert timed.begun_again() == Build("sales", "1", is_timed=True, seen_ms=3, since=5)
    assert timed.begun_again().with_page(6, None, 9, ()).since == 5, "a gap between two fills counts"


def test_rows_come_back_as_they_were() -> None:
    item = AppliedItem("aa", Version(1, 5), '{"S":"NL"}', {"id": {"S": "a"}}, 7)
    group = GroupState('{"S":"NL"}', 3, 2, {"N": "1"}, 7)
    assert read_item_row(item_fields(item)) == item
    assert read_group_row(group_fields(group)) == group


def test_a_row_of_another_format_is_refused() -> None:
    fields = {**group_fields(GroupState("a", 1, 1, {"N": "1"})), "v": 2}
    with pytest.raises(StoreError, match="This projection has format 2"):
        read_group_row(fields)


def test_items_are_spread_over_all_buckets() -> None:
    assert {bucket_of(f"{number:06x}") for number in range(5_000)} == set(range(BUCKETS))


def test_a_row_of_before_versions_is_of_the_first_generation_and_is_replaced_as_it_was_read() -> None:
    old = read_item_row({"v": 1, "key": "aa", "sequence": 900, "group": "", "image": None, "at_ms": 1})
    assert old.version == Version(1, 900)
    new = AppliedItem("aa", Version(2, 7))
    assert condition_of(RowChange(old, new)) == Equals("sequence", 900)
    assert condition_of(RowChange(new, None)) == Equals("version", Version(2, 7).text)
