"""Facts of names: what is kept, what gets a suffix, and what that depends on."""

import pytest

from tailrace.columns.naming import Naming

NAMING = Naming()


def name_of(attribute: str, taken: tuple[str, ...] = (), naming: Naming = NAMING) -> str:
    return naming.names([attribute], taken)[attribute]


@pytest.mark.parametrize(
    "attribute", ["id", "createdAt", "größe", "名前", "_et", "__typename", "a" * 63, "2nd"]
)
def test_a_name_that_can_stay_stays(attribute: str) -> None:
    assert name_of(attribute) == attribute


@pytest.mark.parametrize(
    ("attribute", "name"),
    [
        ("a.b", "a_b"),
        ('a"b', "a_b"),
        ("a b-c", "a_b_c"),
        ("a\0b", "a_b"),
        ("$x", "_x"),
        ("'; drop", "___drop"),
    ],
)
def test_what_is_no_letter_digit_or_underscore_becomes_one(attribute: str, name: str) -> None:
    assert name_of(attribute) == name


@pytest.mark.parametrize("attribute", ["_extra", "_EXTRA", "_other"])
def test_reserved_names_get_a_suffix(attribute: str) -> None:
    assert name_of(attribute).startswith(f"{attribute}_")


@pytest.mark.parametrize("attribute", ["tailrace_seq", "_tailrace_x", "Tailrace_"])
def test_no_name_begins_as_our_own_do(attribute: str) -> None:
    assert name_of(attribute).startswith(f"column_{attribute}_")


def test_a_target_reserves_its_own() -> None:
    assert name_of("XMIN", naming=Naming(reserved=("xmin",))) != "XMIN"
    assert name_of("xmin") == "xmin"


def test_one_byte_too_many_is_cut_and_gets_a_suffix() -> None:
    assert len(name_of("a" * 63)) == len(name_of("a" * 64)) == 63
    assert name_of("a" * 64) != name_of("a" * 65)
    assert len(name_of("é" * 32).encode()) <= 63
    assert name_of("a" * 127, naming=Naming(longest=127)) == "a" * 127


def test_an_empty_name_is_a_column() -> None:
    assert name_of("").startswith("column_")


def test_of_two_that_differ_by_case_the_first_to_come_keeps_its_name() -> None:
    assert name_of("Id", taken=("id",)) == name_of("Id", taken=("ID",)) != "Id"
    assert name_of("id", taken=("Id",)) != "id"


def test_of_several_that_come_at_once_those_that_need_no_change_are_first() -> None:
    assert NAMING.names(["a.b", "a_b"])["a_b"] == NAMING.names(["a_b", "a.b"])["a_b"] == "a_b"
    assert Naming(folds=True).names(["Id", "id"])["id"] == "id"


def test_a_name_that_is_anothers_suffixed_name_is_told_apart() -> None:
    suffixed = name_of("Id", taken=("id",))
    names = NAMING.names(["Id", suffixed], taken=("id",))
    assert len(set(names.values())) == 2
    assert name_of("Id", taken=("id", suffixed)) not in ("id", suffixed)


def test_a_target_that_folds_gets_lower_case() -> None:
    assert name_of("createdAt", naming=Naming(folds=True)) == "createdat"
