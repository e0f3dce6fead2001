"""What the changes of a journal come to: how an item stood before is no change, and deletions leave nothing
behind where nothing was; and a build out of a journal takes changes when it is filled, not before.
"""

from collections.abc import Sequence

import orjson
import pytest
from msgspec.structs import replace

from tailrace.errors import StoreError
from tailrace.projections.core.builds import JOURNAL, Build, build_fields, left_ms, read_build
from tailrace.projections.core.folding import ItemChange, Working
from tailrace.projections.core.journaled import HistoryChange, before, history_steps, newest_step
from tailrace.projections.core.known import (
    KnownBuilds,
    claimed,
    handed_over,
    joining,
    known_fields,
    known_key,
    read_known,
)
from tailrace.rows.writes import StateRow
from tailrace.streams.version import Version
from tailrace.values.types import AttributeValue, Item

OLD = 5_000


class Entered:
    """Counts images and adds up `n`, of all that ever was."""

    history = True

    def group_of(self, image: Item) -> str:
        return "all"

    def folded(self, state: AttributeValue | None, images: Sequence[tuple[Item, int]]) -> AttributeValue:
        total = 0 if state is None else int(state["N"])
        return {"N": str(total + sum(int(image["n"]["N"]) for image, sign in images if sign > 0))}


def data(n: int | None) -> bytes | None:
    return None if n is None else orjson.dumps({"id": {"S": "a"}, "n": {"N": str(n)}})


def change(sequence: int, old: int | None, new: int | None, *, is_state: bool = False) -> HistoryChange:
    return HistoryChange(b"a", Version(1, sequence), data(old), data(new), is_state)


def entered(*changes: HistoryChange, parts: int = 1) -> tuple[int, int]:
    """How many images entered, and their total; the changes may come in several parts."""
    rows: list[ItemChange] = []
    size = -(-len(changes) // parts)
    for start in range(0, len(changes), size):
        rows += history_steps(changes[start : start + size], OLD)
    working = Working(Entered())
    working.add_items([step.key for step in rows], ())
    working.add_groups(["", "all"], ())
    for step in rows:
        working.apply(replace(step, group="all" if step.image else ""))
    (group,) = [one.after for one in working.changes if one.row.name == "all"]
    assert group is not None
    return group.count, int(group.state["N"])  # type: ignore[union-attr]


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_every_change_counts_once_in_however_many_parts_it_is_read(parts: int) -> None:
    story = (change(1, None, 1), change(3, 1, 2), change(4, 2, None), change(9, None, 5))
    assert entered(*story, parts=parts) == (3, 8)
    assert entered(*story, *story, parts=parts) == (3, 8)


def test_what_was_before_the_first_change_is_there_as_it_stood() -> None:
    assert entered(change(7, 4, 5)) == (2, 9)


def test_one_change_that_is_missing_is_told_by_the_next_one() -> None:
    assert entered(change(1, None, 1), change(5, 2, 3)) == (3, 6)


def test_a_row_of_the_base_is_no_change_where_the_changes_say_the_same() -> None:
    base = change(6, None, 2, is_state=True)
    assert entered(change(1, None, 1), change(3, 1, 2), base, change(9, 2, 4)) == (3, 7)
    assert entered(base, change(9, 2, 4)) == (2, 6)
    assert entered(change(1, None, 1), base) == (2, 3), "it says what no change has told"


def test_a_row_of_a_base_without_an_exact_version_counts_where_there_is_no_change() -> None:
    row = HistoryChange(b"a", Version(0, 99_000_000), None, data(2), True)
    assert entered(row) == (1, 2)
    assert entered(row, change(3, 1, 2)) == (2, 3), "it may have been read behind that change"
    assert entered(row, change(9, 2, 4), parts=2) == (2, 6)


def test_a_deletion_of_what_was_never_there_leaves_nothing() -> None:
    working = Working(Entered())
    gone = newest_step(change(7, 3, None), OLD)
    working.add_items([gone.key], ())
    assert not working.apply(gone)
    assert working.changes == []
    assert newest_step(change(7, None, 3), OLD).is_state is False


def test_a_version_that_is_before_another_is_behind_all_older_ones() -> None:
    assert Version(1, 6) <= before(Version(1, 7)) < Version(1, 7)


# ---- builds ------------------------------------------------------------------------------------------------


def test_a_build_from_a_journal_is_of_a_format_that_older_versions_refuse() -> None:
    build = Build("sales", "1", source=JOURNAL, total=7, lacking=("a gap",), keeps_history=True)
    fields = orjson.loads(orjson.dumps(build_fields(build)))
    assert (read_build(fields), fields["v"]) == (build, 4)
    with pytest.raises(StoreError, match="format 5; this version reads 1 to 4"):
        read_build({**fields, "v": 5})
    assert build.begun_again().lacking == ()


def test_a_build_from_a_journal_takes_changes_when_it_is_filled_and_no_item_has_failed() -> None:
    build = Build("sales", "1", source=JOURNAL)
    assert Build("sales", "1").takes_changes
    assert not build.takes_changes
    filled = replace(build, is_filled=True)
    assert filled.takes_changes
    assert replace(filled, failures=1).takes_changes
    assert not replace(filled, failures=1, keeps_history=True).takes_changes


def test_about_how_long_it_takes_is_told_by_its_pace_and_not_at_the_ends() -> None:
    build = Build("sales", "1", filled=50, total=100, begun_ms=1_000)
    assert left_ms(build, 5_000) == 4_000
    assert left_ms(replace(build, filled=0), 5_000) is None
    assert left_ms(replace(build, filled=101), 5_000) is None
    assert left_ms(replace(build, is_filled=True), 5_000) is None


def test_a_joining_is_kept_and_ends_with_a_hand_over_or_a_claim() -> None:
    build = Build("sales", "1", source=JOURNAL, claimed_by="one", claim=4, beat=2)
    known = KnownBuilds("shop", "sales", (build,), "1", 5)
    joined, writes = joining(known, "1")
    row = StateRow(known_key("shop", "sales"), known_fields(joined))
    assert read_known("shop", "sales", row, None, ()).joining == joined.joining == "1"
    assert joined.revision == 6
    assert "joining" not in known_fields(known)
    after, handed, writes = handed_over(joined, build, replace(build, is_filled=True))
    assert (after.joining, after.revision, handed.takes_changes, handed.claimed_by) == ("", 7, True, "")
    assert len(writes) == 2
    taken, _, _ = claimed(joined, build, "two")
    assert taken.joining == ""
