"""Iterators: their text, their age, and garbage."""

import random
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b

import msgspec
import pytest

from tailrace.errors import ApiError
from tailrace.streams.iterators import FORMAT, LIFE_MS, Iterator, read_token
from tailrace.streams.moment import Now

CREATED_MS = 1_633_843_031_000
ITERATOR = Iterator(
    "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2021-10-10T05:17:11.000",
    "shardId-00000001633843031000-2a9e5aad",
    1 << 62,
    CREATED_MS,
)


def now(wall_ms: int) -> Now:
    return Now(wall_ms, 0)


def refusal(text: str) -> tuple[str, str | None]:
    with pytest.raises(ApiError) as caught:
        read_token(text, now(CREATED_MS))
    return caught.value.code, caught.value.message


@pytest.mark.parametrize("after", [0, 1, (1 << 63) - 1, 10**19 - 1, -1])
def test_a_token_reads_back_as_its_iterator(after: int) -> None:
    one = msgspec.structs.replace(ITERATOR, after=after)
    assert read_token(one.token(), now(CREATED_MS)) == one


def test_the_longest_token_is_within_the_models_bound() -> None:
    arn = f"arn:aws:dynamodb:ap-northeast-1:000000000000:table/{'t' * 255}/stream/2021-10-10T05:17:11.000"
    longest = Iterator(arn, "s" * 65, (1 << 63) - 1, CREATED_MS)
    assert len(longest.token()) <= 2_048


def test_a_token_may_be_used_again_and_again() -> None:
    token = ITERATOR.token()
    assert read_token(token, now(CREATED_MS + LIFE_MS)) == read_token(token, now(CREATED_MS))


def test_a_token_expires_after_fifteen_minutes() -> None:
    with pytest.raises(ApiError) as caught:
        read_token(ITERATOR.token(), now(1_633_849_522_000))
    assert caught.value.code == "ExpiredIteratorException"
    assert caught.value.message == (
        "Iterator expired. The iterator was created at time Sun Oct 10 05:17:11 UTC 2021 while right "
        "now it is Sun Oct 10 07:05:22 UTC 2021 which is further in the future than "
        "the tolerated delay of 900000 milliseconds."
    )


def test_the_last_millisecond_still_counts() -> None:
    read_token(ITERATOR.token(), now(CREATED_MS + LIFE_MS))
    with pytest.raises(ApiError):
        read_token(ITERATOR.token(), now(CREATED_MS + LIFE_MS + 1))


@pytest.mark.parametrize(
    "text", ["", "x", "garbage", "====", "ä", "\0", "a" * 2_048, "\ud800", "AAAA-_", "a b"]
)
def test_garbage_is_no_iterator(text: str) -> None:
    assert refusal(text) == ("ValidationException", "Invalid ShardIterator")


def test_any_changed_letter_makes_it_garbage() -> None:
    token = ITERATOR.token()
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_ \n="
    chance = random.Random(7)
    for place in range(len(token)):
        other = chance.choice(letters.replace(token[place], ""))
        assert refusal(token[:place] + other + token[place + 1 :])[1] == "Invalid ShardIterator"
    assert (
        refusal(token[:-4])[1]
        == refusal(token + "\n")[1]
        == refusal(" " + token)[1]
        == "Invalid ShardIterator"
    )


def test_another_format_is_no_iterator_though_its_checksum_is_right() -> None:
    body = msgspec.msgpack.encode(msgspec.structs.replace(ITERATOR, format=FORMAT + 1))
    token = urlsafe_b64encode(blake2b(body, digest_size=8, person=b"iterator").digest() + body).decode()
    assert refusal(token) == ("ValidationException", "Invalid ShardIterator")


def test_a_right_checksum_of_something_else_is_no_iterator() -> None:
    for value in (None, 7, [], ["a"], {"after": 1}, ["a", "b", "c", "d", 1]):
        body = msgspec.msgpack.encode(value)
        token = urlsafe_b64encode(blake2b(body, digest_size=8, person=b"iterator").digest() + body).decode()
        assert refusal(token) == ("ValidationException", "Invalid ShardIterator")


def test_the_layout_is_as_documented() -> None:
    data = urlsafe_b64decode(ITERATOR.token())
    assert data[:8] == blake2b(data[8:], digest_size=8, person=b"iterator").digest()
    assert msgspec.msgpack.decode(data[8:]) == [
        ITERATOR.stream_arn,
        ITERATOR.shard_id,
        ITERATOR.after,
        ITERATOR.created_ms,
        1,
    ]
