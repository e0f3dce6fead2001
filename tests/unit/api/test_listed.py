"""An answer that is written in slices is the one that is written at once, in both forms."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.api.listed import Listed, spliced, written
from tailrace.api.wire import CBOR, JSON_1_1, body_in
from tailrace.engine.slices import at_once
from tailrace.streams.moment import Moment
from tests.cbor import parsed

elements = st.dictionaries(
    st.text(max_size=3), st.text(max_size=3) | st.binary(max_size=3) | st.integers(0, 9), max_size=3
)
chunked = st.lists(st.lists(elements, max_size=40), max_size=4)
others = st.dictionaries(st.text("abc", max_size=3), st.none() | st.integers(0, 9), min_size=1, max_size=22)


@pytest.mark.parametrize("kind", [JSON_1_1, CBOR])
@given(chunks=chunked, rest=others)
def test_slices_make_the_same_answer(
    kind: bytes, chunks: list[list[dict[str, Any]]], rest: dict[str, Any]
) -> None:
    whole = {"Records": [element for chunk in chunks for element in chunk], **rest}
    assert at_once(written(kind, Listed("Records", chunks, rest))) == body_in(kind, whole)


def test_there_is_a_rest_between_two_chunks_and_none_before_one() -> None:
    def rests(count: int) -> int:
        return len(list(written(JSON_1_1, Listed("Records", [[{}]] * count, {"More": 1}))))

    assert [rests(count) for count in (0, 1, 2, 5)] == [0, 0, 1, 4]


def test_elements_that_are_written_already_stand_as_they_are() -> None:
    members = {"at": Moment(1_500), "data": b"a"}
    for kind, read in ((JSON_1_1, json.loads), (CBOR, parsed)):
        body = read(spliced(kind, "Records", [body_in(kind, members)] * 30, {"More": None}))
        assert len(body["Records"]) == 30
    assert json.loads(spliced(JSON_1_1, "Records", [body_in(JSON_1_1, members)], {"More": 1})) == {
        "Records": [{"at": 1.5, "data": "YQ=="}], "More": 1,
    }  # fmt: skip
