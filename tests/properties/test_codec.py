"""The codec loses nothing: an instance reads back as it was, an item with unknown attributes too, a
key as its fields.
"""

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace import App, Item
from tailrace.app.item import entity_of
from tailrace.app.templates import overlap, parse_template
from tailrace.errors import ItemError, SettingsError
from tailrace.values.wire import read_item

shop = App("codec").table("shop", pk="pk", sk="sk")


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Part(Item):
    name: str
    size: Decimal | None = None


class Whole(Item, table=shop, pk="WHOLE#{id}", sk="{day}#{number:06}"):
    id: str
    day: date
    number: int
    text: str = ""
    exact: Decimal = Decimal(0)
    real: float = 0.0
    truth: bool = False
    raw: bytes = b""
    at: datetime | None = None
    clock: time | None = None
    colour: Colour = Colour.RED
    names: set[str] = set()  # noqa: RUF012  # copied for every instance
    numbers: frozenset[Decimal] = frozenset()
    parts: list[Part] = []  # noqa: RUF012  # copied for every instance
    table: dict[str, Part | None] = {}  # noqa: RUF012  # copied for every instance
    maybe: str | None = "something"
    mixed: int | str | None = None


TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
KEY_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="#|"), min_size=1, max_size=8)
EXACT = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=6)
ZONES = st.sampled_from([None, UTC, timezone(timedelta(hours=5, minutes=30))])
PART = st.builds(Part, name=TEXT, size=st.none() | EXACT)
REAL = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e100, max_value=1e100).filter(
    lambda value: value == 0 or abs(value) > 1e-100
)
WHOLE = st.builds(
    Whole,
    id=KEY_TEXT,
    day=st.dates(),
    number=st.integers(0, 10**9),
    text=TEXT,
    exact=EXACT,
    real=REAL,
    truth=st.booleans(),
    raw=st.binary(max_size=8),
    at=st.none() | st.datetimes(datetime(1970, 1, 2), datetime(9990, 1, 1), timezones=ZONES),
    clock=st.none() | st.times(),
    colour=st.sampled_from(Colour),
    names=st.sets(TEXT, max_size=3),
    numbers=st.frozensets(EXACT, max_size=3),
    parts=st.lists(PART, max_size=3),
    table=st.dictionaries(TEXT.filter(bool), st.none() | PART, max_size=3),
    maybe=st.none() | TEXT,
    mixed=st.none() | TEXT | st.integers(-9, 9),
)


@settings(max_examples=80, deadline=None)
@given(WHOLE)
def test_an_instance_reads_back_as_it_was(whole: Whole) -> None:
    entity: Any = entity_of(Whole)
    item = entity.encode(whole)
    assert entity.fits(item)
    assert entity.decode(item) == whole
    assert entity.encode(entity.decode(item)) == item


VALUES = st.recursive(
    st.one_of(
        TEXT.map(lambda text: {"S": text}),
        EXACT.map(lambda number: {"N": f"{number:f}"}),
        st.just({"NULL": True}),
        st.booleans().map(lambda truth: {"BOOL": truth}),
        st.just({"B": "AA=="}),
        st.sets(TEXT, min_size=1, max_size=3).map(lambda texts: {"SS": sorted(texts)}),
    ),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda elements: {"L": elements})
        | st.dictionaries(TEXT.filter(bool), inner, max_size=3).map(lambda members: {"M": members})
    ),
    max_leaves=4,
)


@settings(max_examples=100, deadline=None)
@given(WHOLE, st.dictionaries(KEY_TEXT.map(lambda name: f"x_{name}"), VALUES, max_size=3))
def test_what_is_unknown_survives(whole: Whole, unknown: dict[str, Any]) -> None:
    entity: Any = entity_of(Whole)
    item = read_item(entity.encode(whole) | unknown)
    assert entity.encode(entity.decode(item)) == item


@settings(max_examples=80, deadline=None)
@given(st.lists(TEXT, min_size=2, max_size=2), st.sampled_from(["A#{a}#{b}", "{a}-{b}", "{a}|x{b}y"]))
def test_a_key_reads_back_as_its_fields_or_is_refused(values: list[str], text: str) -> None:
    template, fields = parse_template(text), dict(zip("ab", values, strict=True))
    try:
        key = template.format(fields)
    except ItemError:
        return
    assert template.parse(key) == fields


PIECES = st.lists(st.sampled_from(["a", "#", "b#", "{x}", "{y}", "-"]), min_size=1, max_size=5).map("".join)


@settings(max_examples=100, deadline=None)
@given(PIECES, PIECES, st.text("ab#-xy", min_size=1, max_size=6))
def test_templates_that_share_a_key_are_found(first: str, second: str, key: str) -> None:
    try:
        one, other = parse_template(first), parse_template(second)
    except SettingsError:
        return
    shared = overlap(one, other)
    if shared is not None:
        assert one.match(shared) is not None
        assert other.match(shared) is not None
    elif one.match(key) is not None:
        assert other.match(key) is None
