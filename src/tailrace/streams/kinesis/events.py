"""The event of a data stream's records as Lambda hands it to functions.

Rules of this file: values in, bytes out; the data's base64 is spliced as it is. Source: semantics §2.10.
"""

from collections.abc import Iterable
from typing import Final

import orjson

from tailrace.streams.envelopes import lambda_event
from tailrace.streams.kinesis.names import is_data_stream
from tailrace.streams.kinesis.plain import base64_of, partition_key_of
from tailrace.streams.record import ChangeRecord, ViewType

ROLE: Final = "arn:aws:iam::{0}:role/tailrace"
"""The role that functions run under, as far as events name one: nothing is checked against it."""


def data_event(records: Iterable[ChangeRecord], source_arn: str, region: str, account: str) -> bytes:
    """The event of plain records: `{"Records": [...]}`. Shape: `source_arn` is the stream's, or the
    consumer's where one subscribes.
    """
    origin = b"".join(
        (
            orjson.dumps(ROLE.format(account)),
            b',"awsRegion":',
            orjson.dumps(region),
            b',"eventSourceARN":',
            orjson.dumps(source_arn),
        )
    ).replace(b"%", b"%%")
    layout = (
        b'{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":%b,"sequenceNumber":"%b","data":"%b",'
        b'"approximateArrivalTimestamp":%b},"eventSource":"aws:kinesis","eventVersion":"1.0","eventID":%b,'
        b'"eventName":"aws:kinesis:record","invokeIdentityArn":' + origin + b"}"
    )
    return b'{"Records":[%b]}' % b",".join(
        [
            layout
            % (
                orjson.dumps(partition_key_of(record)),
                record.sequence_number.wire.encode(),
                base64_of(record),
                orjson.dumps(record.created_ms / 1_000),
                orjson.dumps(record.source_id),
            )
            for record in records
        ]
    )


def event_of(
    records: Iterable[ChangeRecord], source_arn: str, view_type: ViewType, region: str, account: str
) -> bytes:
    """The event that a Lambda function gets, of whichever kind of stream.

    >>> event_of([], "arn:aws:kinesis:us-east-1:000000000000:stream/clicks", "NEW_IMAGE", "us-east-1", "0")
    b'{"Records":[]}'
    """
    if is_data_stream(source_arn):
        return data_event(records, source_arn, region, account)
    return lambda_event(records, source_arn, view_type, region)
