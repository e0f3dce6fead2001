"""A predicate says what plain Python says of the decoded object.

Rules of this file: the judge decodes the image with the entity and looks with `getattr`; where a value on the
way is None or of another type there is no value, and no comparison holds. Predicates are of fields at every
depth, with defaults, without, and of models that may be None.
"""

import operator
from functools import reduce
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tailrace import App, Item, new, old
from tailrace.app.change import Change
from tailrace.app.entity import Entity
from tailrace.app.item import entity_of
from tailrace.app.predicates import compiled
from tailrace.errors import ItemError
from tailrace.streams.record import ChangeRecord, change_record

app = App("plain")
docs = app.table("docs", pk="pk")


class Deep(Item):
    zip: int = 0
    code: str | None = None


class Addr(Item):
    zip: int = 0
    must: int
    deep: Deep = Deep(zip=7)
    maybe: Deep | None = None


class Doc(Item, table=docs, pk="D#{id}"):
    id: str
    addr: Addr
    home: Addr | None = None
    base: Addr = Addr(zip=1, must=1, deep=Deep(zip=1), maybe=Deep(zip=0))
    zip: int = 0


NAMES = [
    ("id",), ("zip",), *((start, *rest) for start in ("addr", "home", "base") for rest in (
        ("zip",), ("must",), ("deep", "zip"), ("deep", "code"), ("maybe", "zip"),
    )),
]  # fmt: skip
NULL = {"NULL": True}
numbers = st.sampled_from([{"N": "0"}, {"N": "1"}, {"N": "7"}, NULL, {"S": "0"}, {"N": "1.5"}])
deeps = st.fixed_dictionaries(
    {}, optional={"zip": numbers, "code": st.sampled_from([{"S": "a"}, NULL, {"N": "1"}])}
).map(lambda inside: {"M": inside}) | st.sampled_from([NULL, {"S": "a"}, {"L": []}])
addrs = st.fixed_dictionaries(
    {}, optional={"zip": numbers, "must": numbers, "deep": deeps, "maybe": deeps}
).map(lambda inside: {"M": inside}) | st.sampled_from([NULL, {"S": "a"}, {"M": {}}])
images = st.fixed_dictionaries(
    {}, optional={"addr": addrs, "home": addrs, "base": addrs, "zip": numbers, "id": st.just({"S": "1"})}
)
KEY = {"pk": {"S": "D#1"}}
SOUND: dict[str, Any] = {"addr": {"M": {"must": {"N": "1"}}}}
COMPARE: dict[str, Any] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
NOTHING = object()


def value_in_python(entity: Entity[Any], image: dict[str, Any], names: tuple[str, ...]) -> Any:
    """What the handler would find, looking at nothing but this field: the rest of the item is sound."""
    alone = {**SOUND, **KEY, "id": image.get("id")} if "id" in image else {**SOUND, **KEY}
    alone.pop(names[0], None)
    if names[0] in image:
        alone[names[0]] = only(image[names[0]], names[1:])
    elif names[0] == "addr":
        return NOTHING
    try:
        return reduce(getattr, names, entity.decode(alone))
    except (ItemError, AttributeError):
        return NOTHING


def only(value: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """A value with only what lies on the way; what must be beside it is sound."""
    if not names or "M" not in value:
        return value
    inside = value["M"]
    members = {names[0]: only(inside[names[0]], names[1:])} if names[0] in inside else {}
    if names[0] in ("zip", "deep", "maybe"):
        members["must"] = {"N": "1"}
    return {"M": members}


def holds_in_python(sign: str, left: Any, right: Any) -> bool:
    if left is NOTHING or right is NOTHING:
        return sign == "!="
    try:
        return bool(COMPARE[sign](left, right))
    except TypeError:
        return False


def change_of(image: dict[str, Any]) -> Change[Any]:
    record: ChangeRecord = change_record(
        sequence=1,
        shard=0,
        created_ms=0,
        partition=0,
        key=b"k",
        keys=KEY,
        old=None,
        new=orjson.dumps(KEY | image),
        size_bytes=1,
    )
    return Change(record, "docs", entity_of(Doc))


def path(names: tuple[str, ...]) -> Any:
    return reduce(getattr, names, Doc)


def predicate_of(sign: str, names: tuple[str, ...], right: Any) -> Any:
    return COMPARE[sign](new(path(names)), right)


@settings(max_examples=500, deadline=None)
@example({"addr": {"M": {"must": {"N": "1"}}}}, ("addr", "deep", "zip"), "==", 7)
@example({"addr": NULL}, ("addr", "zip"), "==", 0)
@example({}, ("base", "deep", "zip"), "==", 1)
@example({"home": NULL}, ("home", "zip"), "==", 0)
@example({"home": {"S": "a"}}, ("home", "zip"), "==", 0)
@given(images, st.sampled_from(NAMES), st.sampled_from(list(COMPARE)), st.sampled_from([0, 1, 7]))
def test_a_predicate_says_what_plain_python_says_of_the_decoded_object(
    image: dict[str, Any], names: tuple[str, ...], sign: str, number: int
) -> None:
    right: Any = {"code": "a", "id": "1"}.get(names[-1], number)
    if names[-1] == "code" and sign not in ("==", "!="):
        sign = "=="
    change = change_of(image)
    left = value_in_python(entity_of(Doc), image, names)
    assert compiled(predicate_of(sign, names, right))(change) is holds_in_python(sign, left, right)
    is_one_of = left is not NOTHING and left == right
    assert compiled(new(path(names)).in_(right))(change) is is_one_of
    assert not compiled(old(path(names)) == right)(change)


@pytest.mark.parametrize("default", [ZeroDivisionError("no"), AttributeError("no")])
def test_a_default_that_cannot_be_made_is_no_value(default: Exception) -> None:
    from dataclasses import dataclass, field

    def fails() -> int:
        raise default

    @dataclass
    class Odd:
        id: str
        n: int = field(default_factory=fails)

    shop = App("odd")
    odd = shop.entity(Odd, shop.table("odd", pk="pk"), pk="O#{id}")
    record = change_record(
        sequence=1,
        shard=0,
        created_ms=0,
        partition=0,
        key=b"k",
        keys={"pk": {"S": "O#1"}},
        old=None,
        new=b'{"pk":{"S":"O#1"}}',
        size_bytes=1,
    )
    change: Change[Any] = Change(record, "odd", odd)
    assert not compiled(new(odd["n"]) == 0)(change)
    assert compiled(new(odd["n"]) != 0)(change)
