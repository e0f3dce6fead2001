"""The user records in a function's event of a data stream: aggregates of the Producer Library taken apart.

Rules of this file: pure; the event stays as it is. A failure is told by the sequence number of the aggregate,
because Lambda knows no other: it then comes again whole. Stands alone because functions import it without an
app. Source: fleet §4.3; semantics §2.10; ADR 95.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from typing import Any

from tailrace.errors import Refused
from tailrace.streams.kinesis.aggregation import UserRecord, read_aggregate


def user_records(event: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The records of a Kinesis event as their producers wrote them, in order.

    Shape:     what is no aggregate stands as it is. What was in one has its own partition key and data, and
               `aggregated`, `subSequenceNumber` and, where it was put with one, `explicitHashKey`.
    Guarantee: all records of an aggregate or, where a byte of it is wrong, the aggregate as it came.
    Raises:    Refused for what is no event of a data stream.

    >>> user_records({"Records": [{"kinesis": {"partitionKey": "a", "data": "b25l"}}]})
    [{'kinesis': {'partitionKey': 'a', 'data': 'b25l'}}]
    """
    records = event.get("Records")
    if not isinstance(records, list) or not all("kinesis" in record for record in records):
        told = records if isinstance(records, list) else [event]
        raise Refused(
            "user_records takes the event of a data stream, {'Records': [{'kinesis': {…}}]}; this one has "
            f"{', '.join(sorted({name for record in told for name in record})) or 'nothing'}"
        )
    return [record for one in records for record in _in(one)]


def _in(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    users = read_aggregate(b64decode(record["kinesis"]["data"]))
    if users is None:
        yield record
        return
    for place, user in enumerate(users):
        yield {**record, "kinesis": {**record["kinesis"], **_members(user, place)}}


def _members(user: UserRecord, place: int) -> dict[str, Any]:
    hash_key = {} if user.explicit_hash_key is None else {"explicitHashKey": user.explicit_hash_key}
    return {
        "partitionKey": user.partition_key,
        "data": b64encode(user.data).decode(),
        **hash_key,
        "subSequenceNumber": place,
        "aggregated": True,
    }
