"""CBOR against the vectors of RFC 8949, against botocore's own codec, and against what is none."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.api.cbor import DEEPEST, cbor_of, read_cbor
from tailrace.errors import ApiError
from tailrace.streams.moment import Moment
from tests.cbor import Told, parsed, serialized

VECTORS: list[tuple[str, Any]] = [
    ("00", 0), ("17", 23), ("1818", 24), ("18ff", 255), ("190100", 256), ("1a000f4240", 1_000_000),
    ("1b000000e8d4a51000", 1_000_000_000_000), ("1bffffffffffffffff", 2**64 - 1),
    ("3bffffffffffffffff", -(2**64)), ("20", -1), ("3863", -100), ("3903e7", -1_000),
    ("f90000", 0.0), ("f93c00", 1.0), ("fb3ff199999999999a", 1.1), ("f93e00", 1.5), ("f97bff", 65_504.0),
    ("fa47c35000", 100_000.0), ("fb7e37e43c8800759c", 1.0e300), ("f90001", 5.960464477539063e-8),
    ("f9c400", -4.0), ("fbc010666666666666", -4.1), ("f97c00", float("inf")), ("f9fc00", float("-inf")),
    ("f4", False), ("f5", True), ("f6", None), ("f7", None),
    ("c11a514b67b0", 1_363_896.240), ("c1fb41d452d9ec200000", 1_363_896_240.5),
    ("d74401020304", b"\x01\x02\x03\x04"), ("40", b""), ("4401020304", b"\x01\x02\x03\x04"),
    ("60", ""), ("6449455446", "IETF"), ("62225c", '"\\'), ("62c3bc", "ü"), ("63e6b0b4", "水"),
    ("64f0908591", "\U00010151"), ("80", []), ("83010203", [1, 2, 3]),
    ("8301820203820405", [1, [2, 3], [4, 5]]), ("98190102030405060708090a0b0c0d0e0f101112131415161718181819",
    list(range(1, 26))), ("a0", {}), ("a26161016162820203", {"a": 1, "b": [2, 3]}),
    ("5f42010243030405ff", b"\x01\x02\x03\x04\x05"), ("7f657374726561646d696e67ff", "streaming"),
    ("9fff", []), ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]), ("83018202039f0405ff", [1, [2, 3], [4, 5]]),
    ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}), ("bf6346756ef563416d7421ff", {"Fun": True, "Amt": -2}),
]  # fmt: skip
"""Appendix A, but for what is not of JSON's kinds. A whole number of tag 1 is milliseconds here."""


@pytest.mark.parametrize(("data", "value"), VECTORS)
def test_the_vectors_of_the_rfc_are_read(data: str, value: Any) -> None:
    assert read_cbor(bytes.fromhex(data)) == value


@pytest.mark.parametrize(
    "data",
    [
        "", "18", "1a0000", "61", "6261", "42ff", "81", "8201", "a1", "a16161", "a10101",  # it ends early
        "9f", "9f01", "bf", "bf6161", "5f", "5f41", "7f", "c1", "f9", "fa00", "1c", "1f", "5c", "fc", "ff",
        "f818", "f0", "0000", "61ff", "5f6161ff", "5f5f4101ffff", "bf01ff", "9bffffffffffffffff",
        "bbffffffffffffffff", "5bffffffffffffffff", "81" * (DEEPEST + 1) + "00", "c1" * (DEEPEST + 1) + "00",
    ],
)  # fmt: skip
def test_what_is_no_cbor_is_refused(data: str) -> None:
    with pytest.raises(ApiError, match="the body is not CBOR") as refused:
        read_cbor(bytes.fromhex(data))
    assert refused.value.code == "SerializationException"


def test_what_is_nested_as_deep_as_may_be_is_read() -> None:
    assert read_cbor(b"\x81" * DEEPEST + b"\x00") is not None


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_a_refusal(data: bytes) -> None:
    with suppress(ApiError):  # and no other error
        read_cbor(data)


leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=30)
    | st.binary(max_size=30)
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=30) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=40,
)


@given(values)
def test_what_is_written_is_read_by_us(value: Any) -> None:
    assert read_cbor(cbor_of(value)) == value


@given(st.recursive(leaves.filter(lambda leaf: leaf is not None), lambda inner: st.lists(inner, max_size=30)))
def test_and_by_botocore(value: Any) -> None:
    assert parsed(cbor_of(value)) == value


def test_a_request_of_botocore_is_read() -> None:
    members = {
        "StreamName": "x" * 100,
        "Records": [{"Data": bytes(300), "PartitionKey": "ü" * 20}, {"Data": b"", "PartitionKey": ""}],
    }
    assert read_cbor(serialized("PutRecords", members)) == members


@pytest.mark.parametrize("at_ms", [0, 23, 1_780_000_000_123, -1])
def test_a_moment_is_whole_milliseconds_behind_tag_one(at_ms: int) -> None:
    told = parsed(cbor_of(Moment(at_ms)))
    assert isinstance(told, Told)
    assert told.number == at_ms
    assert read_cbor(cbor_of(Moment(at_ms))) == at_ms / 1_000


@pytest.mark.parametrize("value", [2**64, -(2**64) - 1, object()])
def test_what_has_no_form_is_told(value: object) -> None:
    with pytest.raises(TypeError, match="no form in CBOR"):
        cbor_of(value)
