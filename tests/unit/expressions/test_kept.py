"""Results of texts are kept, a few hundred short ones and a few long ones; errors are not."""

import pytest

from tailrace.expressions.kept import LONG_KEPT, SHORT, SHORT_KEPT, kept
from tailrace.expressions.parser import parse_condition_text
from tailrace.expressions.reserved import RESERVED


def test_a_text_is_made_once() -> None:
    made: list[str] = []
    make = kept(lambda text, other=0: made.append(text) or len(made))
    assert [make("a"), make("a"), make("b"), make("a"), make("a", 1)] == [1, 1, 2, 1, 3]


@pytest.mark.parametrize(("length", "count"), [(SHORT, SHORT_KEPT), (SHORT + 1, LONG_KEPT)])
def test_only_so_many_are_kept(length: int, count: int) -> None:
    made: list[str] = []
    make = kept(lambda text: made.append(text))
    texts = [f"{number:0{length}}" for number in range(count + 1)]
    for text in texts:
        make(text)
    for text in reversed(texts[1:]):
        make(text)
    assert len(made) == count + 1
    make(texts[0])
    assert len(made) == count + 2


def test_an_error_is_not_kept() -> None:
    made: list[str] = []

    def make(text: str) -> None:
        made.append(text)
        raise ValueError(text)

    for _ in range(2):
        with pytest.raises(ValueError, match="a"):
            kept(make)("a")
    assert made == ["a", "a"]


def test_a_parsed_text_is_the_same_object_again() -> None:
    one = parse_condition_text("kept = :v", "ConditionExpression")
    assert parse_condition_text("kept = :v", "ConditionExpression") is one
    assert parse_condition_text("kept = :v", "FilterExpression") is not one


def test_dynamodb_has_573_reserved_words() -> None:
    assert len(RESERVED) == 573
    assert all(word.isupper() and word.isalpha() for word in RESERVED)
    assert {"ABORT", "NAME", "STATUS", "TTL", "ZONE"} <= RESERVED
    assert not {"PK", "SK", "ID", "EMAIL"} & RESERVED
