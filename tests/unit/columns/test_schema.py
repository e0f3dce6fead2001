"""Facts of the columns of a table: they only grow, and what is kept is read back."""

import pytest

from tailrace.columns.kinds import BINARY, DIGITS_AS_TEXT, INT64, JSON, NOTHING, TEXT, Kind
from tailrace.columns.naming import Naming
from tailrace.columns.schema import AddColumn, Column, TableColumns, WidenColumn
from tailrace.errors import InternalError, SettingsError

CENTS = Kind("decimal", 5, 2)
ORDERS = TableColumns("orders", "order", ("pk", "sk")).grown({"pk": TEXT, "sk": TEXT, "total": INT64})


def test_key_columns_come_first_then_others_by_name() -> None:
    grown = TableColumns("t", "t", ("pk", "sk")).grown({"a": TEXT, "sk": INT64, "b": TEXT, "pk": TEXT})
    assert [column.name for column in grown.columns] == ["pk", "sk", "a", "b"]


def test_a_key_keeps_its_name_before_others_that_come_with_it() -> None:
    grown = TableColumns("t", "t", ("id",)).grown({"Id": TEXT, "id": TEXT, "ID": TEXT})
    assert grown.columns[0].name == "id"
    assert {column.name for column in grown.columns} & {"Id", "ID"} == set()


def test_what_is_new_is_added_behind() -> None:
    grown = ORDERS.grown({"a": TEXT, "total": CENTS})
    assert grown.columns == (*ORDERS.columns[:2], Column("total", "total", CENTS), Column("a", "a", TEXT))
    assert grown.version == ORDERS.version + 1


@pytest.mark.parametrize("kinds", [{}, {"total": INT64}, {"total": TEXT}, {"total": NOTHING}, {"pk": BINARY}])
def test_what_has_room_or_no_place_changes_nothing(kinds: dict[str, Kind]) -> None:
    assert ORDERS.grown(kinds) is ORDERS


def test_a_column_too_many_is_left_out() -> None:
    narrow = TableColumns("t", "t", ("pk",), naming=Naming(columns=2)).grown(
        {"pk": TEXT, "a": TEXT, "b": TEXT}
    )
    assert [column.attribute for column in narrow.columns] == ["pk", "a"]
    assert narrow.grown({"b": TEXT}) is narrow


def test_the_changes_of_a_grown_table_are_columns_to_add_and_to_widen() -> None:
    grown = ORDERS.grown({"note": TEXT, "total": CENTS})
    assert grown.changes_from(ORDERS) == [
        WidenColumn(Column("total", "total", CENTS), ORDERS.columns[2].kind),
        AddColumn(Column("note", "note", TEXT)),
    ]
    assert grown.changes_from(grown) == []


def test_more_digits_of_the_same_type_are_no_change_for_a_target() -> None:
    grown = ORDERS.grown({"total": Kind("int64", 12)})
    assert grown.version == ORDERS.version + 1
    assert grown.changes_from(ORDERS) == []


def test_a_column_of_nulls_alone_is_added_when_it_has_a_kind() -> None:
    nulls = ORDERS.grown({"note": NOTHING})
    assert nulls.changes_from(ORDERS) == []
    assert nulls.stored == ORDERS.stored
    texts = nulls.grown({"note": TEXT})
    assert (
        texts.changes_from(nulls) == texts.changes_from(ORDERS) == [AddColumn(Column("note", "note", TEXT))]
    )


@pytest.mark.parametrize(
    "columns",
    [
        ORDERS.columns[:2],
        (*ORDERS.columns[:2], Column("sum", "total", INT64)),
        (*ORDERS.columns[:2], Column("total", "total", TEXT)),
    ],
)
def test_columns_that_are_dropped_renamed_or_of_another_type_are_refused(columns: tuple[Column, ...]) -> None:
    with pytest.raises(InternalError, match="column total has shrunk"):
        TableColumns("orders", "order", ("pk", "sk"), columns).changes_from(ORDERS)


def test_a_narrower_column_is_refused() -> None:
    wide = ORDERS.grown({"total": DIGITS_AS_TEXT})
    with pytest.raises(InternalError, match="has shrunk"):
        ORDERS.changes_from(wide)


def test_of_two_schemas_the_first_keeps_its_kinds_and_names() -> None:
    other = TableColumns("orders", "order", ("pk", "sk")).grown({"pk": TEXT, "total": TEXT, "Total": JSON})
    merged = ORDERS.merged(other)
    assert merged.column("total") == ORDERS.column("total")
    added = merged.column("Total")
    assert added is not None
    assert added.kind == JSON
    assert added.name != "Total"
    assert merged.column("absent") is None


def test_what_is_kept_is_read_back() -> None:
    assert TableColumns.from_json(ORDERS.as_json()) == ORDERS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ORDERS.as_json().replace('"format":1', '"format":2'), "has format 2, and this version"),
        ("", "cannot be read"),
        ("[]", "cannot be read"),
        ("{}", "cannot be read"),
        ('{"format":1,"value":{"name":1}}', "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_said_with_the_next_step(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as raised:
        TableColumns.from_json(text)
    assert raised.value.hint
