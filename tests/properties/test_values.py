"""Properties of values: numbers agree with `decimal`, bytes keep DynamoDB's order, the border
lets nothing strange in.

Rules of this file: expected answers come from the standard library's decimal and json, never from
the code under test.
"""

import json
from base64 import b64decode, b64encode
from decimal import Context, Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tailrace.errors import CORAL, VALIDATION, ApiError
from tailrace.values.canonical import (
    NUMBER,
    add,
    compare,
    compare_values,
    is_plain,
    normalise,
    ordered_bytes,
    size_bytes,
    subtract,
    terminated,
    value_size,
)
from tailrace.values.types import AttributeValue
from tailrace.values.wire import dump_item, read_item, read_value

relaxed = settings(deadline=None, max_examples=100)
"""Examples may take long on a busy machine; that is not what is tested."""
WIDE = Context(prec=1_000)


def written(digits: str, point: int, exponent: int, sign: str, form: str) -> str:
    """One of the ways to write a number."""
    point %= len(digits) + 1
    text = sign + digits[:point] + ("." if point < len(digits) else "") + digits[point:]
    return f"{text}E{exponent:{form}}" if form else text


number_texts = st.builds(
    written,
    st.integers(0, 10**38 - 1).map(str) | st.sampled_from(["000", "0010", "1" + "0" * 37, "0" * 37 + "1"]),
    st.integers(0, 38),
    st.integers(-90, 85) | st.integers(-5, 5),
    st.sampled_from(["", "+", "-"]),
    st.sampled_from(["", "d", "+d", "06d", "+09d"]),
)
"""Texts of numbers that DynamoDB takes, written in every way there is."""
numbers = number_texts.map(normalise)
binaries = st.binary(max_size=12).map(lambda data: b64encode(data).decode())
strings = st.text(max_size=12)
names = st.text(min_size=1, max_size=12)
scalars = st.one_of(
    strings.map(lambda text: {"S": text}),
    numbers.map(lambda text: {"N": text}),
    binaries.map(lambda text: {"B": text}),
    st.booleans().map(lambda flag: {"BOOL": flag}),
    st.just({"NULL": True}),
    st.lists(strings, min_size=1, max_size=4, unique=True).map(lambda elements: {"SS": elements}),
    st.lists(numbers, min_size=1, max_size=4, unique=True).map(lambda elements: {"NS": elements}),
    st.lists(binaries, min_size=1, max_size=4, unique=True).map(lambda elements: {"BS": elements}),
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda elements: {"L": elements})
        | st.dictionaries(names, inner, max_size=3).map(lambda members: {"M": members})
    ),
    max_leaves=8,
)
items = st.dictionaries(names, values, max_size=4)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | strings | number_texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M", "X"]),
            inner,
            max_size=2,
        )
    ),
    max_leaves=10,
)


def check_own(error: ApiError, *others: str) -> None:
    """The errors of the border, and no others."""
    prefixes = {"ValidationException": VALIDATION, "SerializationException": CORAL}
    assert error.code in ("ValidationException", *others)
    assert error.prefix == prefixes[error.code]
    assert error.message


# ---- numbers -----------------------------------------------------------------------------------------------


@relaxed
@given(number_texts)
@example("1E+0000001")
@example("-0.000")
@example("9.9999999999999999999999999999999999999E+125")
def test_a_number_keeps_its_value_and_has_one_text(text: str) -> None:
    normal = normalise(text)
    assert Decimal(normal) == Decimal(text)
    assert normal == (f"{Decimal(text).normalize(WIDE):f}" if Decimal(text) else "0")
    assert normalise(normal) == normal


@relaxed
@given(
    st.text(max_size=12)
    | st.from_regex(NUMBER, fullmatch=True)
    | st.from_regex(r"[-+.eE0-9]{0,14}", fullmatch=True)
)
def test_no_text_makes_normalise_raise_anything_but_its_own_error(text: str) -> None:
    try:
        normal = normalise(text)
    except ApiError as error:
        check_own(error)
    else:
        value = Decimal(text)
        assert Decimal(normal) == value
        assert not value or -130 <= value.adjusted() <= 125
    if is_plain(text):
        assert normalise(text) == text == str(int(text))


@relaxed
@given(numbers, numbers)
def test_sums_are_those_of_decimal_or_refused(a: str, b: str) -> None:
    for operation, exact in (
        (add, WIDE.add(Decimal(a), Decimal(b))),
        (subtract, WIDE.subtract(Decimal(a), Decimal(b))),
    ):
        fits = not exact or (
            len(exact.normalize(WIDE).as_tuple().digits) <= 38 and -130 <= exact.adjusted() <= 125
        )
        if fits:
            assert Decimal(operation(a, b)) == exact
            assert normalise(operation(a, b)) == operation(a, b)
        else:
            with pytest.raises(ApiError):
                operation(a, b)


# ---- order -------------------------------------------------------------------------------------------------


@relaxed
@given(numbers, numbers)
@example("0.1", "0.10000000000000000000000000000000000001")
@example("-0.1", "-0.10000000000000000000000000000000000001")
def test_bytes_of_numbers_keep_their_order(a: str, b: str) -> None:
    one, two = Decimal(a), Decimal(b)
    left, right = ordered_bytes({"N": a}), ordered_bytes({"N": b})
    assert (left < right, left == right) == (one < two, one == two)
    assert compare(a, b) == compare_values({"N": a}, {"N": b}) == (one > two) - (one < two)


@relaxed
@given(st.text(max_size=6), st.text(max_size=6))
def test_bytes_of_strings_keep_the_order_of_utf8(a: str, b: str) -> None:
    one, two = a.encode(), b.encode()
    assert (ordered_bytes({"S": a}) < ordered_bytes({"S": b})) == (one < two)
    assert compare_values({"S": a}, {"S": b}) == (one > two) - (one < two)


@relaxed
@given(st.binary(max_size=5), st.binary(max_size=5))
def test_bytes_of_binaries_keep_their_order(a: bytes, b: bytes) -> None:
    one, two = ({"B": b64encode(data).decode()} for data in (a, b))
    assert (ordered_bytes(one) < ordered_bytes(two)) == (a < b)
    assert compare_values(one, two) == (a > b) - (a < b)


TRICKY = st.lists(st.sampled_from([0, 1, 2, 0xFE, 0xFF]), max_size=5).map(bytes)


@relaxed
@given(TRICKY, TRICKY, TRICKY, TRICKY)
def test_terminated_bytes_compare_as_pairs(a: bytes, b: bytes, rest_a: bytes, rest_b: bytes) -> None:
    one, two = terminated(a) + rest_a, terminated(b) + rest_b
    assert (one < two) == ((a, rest_a) < (b, rest_b))
    assert (one == two) == ((a, rest_a) == (b, rest_b))


# ---- the border --------------------------------------------------------------------------------------------


@relaxed
@given(items)
def test_what_was_stored_reads_back(item: dict[str, Any]) -> None:
    canonical = read_item(item)
    stored = dump_item(canonical)
    assert json.loads(stored) == canonical
    assert read_item(json.loads(stored)) == canonical
    assert dump_item(read_item(json.loads(stored))) == stored


@relaxed
@given(anything)
def test_no_json_makes_the_border_raise_anything_but_its_own_error(raw: Any) -> None:
    for read in (read_value, read_item):
        try:
            parsed = read(json.loads(json.dumps(raw)))
        except ApiError as error:
            check_own(error, "SerializationException")
            continue
        assert read(json.loads(json.dumps(parsed))) == parsed
        assert isinstance(parsed, dict)


def plain_size(value: AttributeValue) -> int:
    """The size of a value by the words of AWS's page, numbers left out."""
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "B":
            return len(b64decode(content))
        case "SS" | "BS" | "NS":
            return sum(plain_size({kind[0]: element}) for element in content)
        case "L":
            return 3 + sum(1 + plain_size(element) for element in content)
        case "M":
            return 3 + sum(1 + len(name.encode()) + plain_size(member) for name, member in content.items())
        case "N":
            return value_size(value)
    return 1


@relaxed
@given(items)
def test_sizes_are_sums_of_their_parts(item: dict[str, Any]) -> None:
    canonical = read_item(item)
    assert size_bytes(canonical) == sum(
        len(name.encode()) + plain_size(value) for name, value in canonical.items()
    )


@relaxed
@given(numbers)
def test_a_number_weighs_at_most_a_byte_for_two_digits_and_two_more(text: str) -> None:
    digits = len(Decimal(text).normalize(WIDE).as_tuple().digits)
    size = value_size({"N": text})
    assert size == 1 if text == "0" else (digits + 1) // 2 + 1 <= size <= (digits + 1) // 2 + 3
