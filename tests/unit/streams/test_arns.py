"""Amazon Resource Names of tables and streams."""

import pytest

from tailrace.errors import ApiError
from tailrace.streams.arns import StreamArn, label_of, parse_stream_arn, stream_arn, table_arn

LABEL = "2026-09-17T13:27:38.987"


def test_a_streams_name_is_its_tables_and_its_label() -> None:
    arn = stream_arn(table_arn("eu-west-1", "123456789012", "my-table.v_2"), label_of(1_789_651_658_987))
    assert arn == f"arn:aws:dynamodb:eu-west-1:123456789012:table/my-table.v_2/stream/{LABEL}"
    assert parse_stream_arn(arn) == StreamArn("eu-west-1", "123456789012", "my-table.v_2", LABEL)


@pytest.mark.parametrize(
    "text",
    [
        "arn:aws:dynamodb:us-east-1:000000000000:table/orders",
        "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/",
        "arn:aws:dynamodb:us-east-1:000000000000:table/or/stream/" + LABEL,
        "arn:aws:dynamodb:us-east-1:00000000000:table/orders/stream/" + LABEL,
        "arn:aws:kinesis:us-east-1:000000000000:table/orders/stream/" + LABEL,
        "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/" + LABEL + "\n/x",
        "x" * 100,
    ],
)
def test_a_malformed_name_is_refused(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_stream_arn(text)
    assert (caught.value.code, caught.value.message) == ("ValidationException", f"Invalid StreamArn: {text}")


@pytest.mark.parametrize(
    ("text", "bound"),
    [("", "greater than or equal to 37"), ("x" * 36, "greater than or equal to 37"),
     ("x" * 1025, "less than or equal to 1024")],
)  # fmt: skip
def test_a_name_of_a_wrong_length_is_refused_with_its_bound(text: str, bound: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_stream_arn(text)
    assert caught.value.message == (
        f"1 validation error detected: Value '{text}' at 'streamArn' failed to satisfy constraint: "
        f"Member must have length {bound}"
    )
