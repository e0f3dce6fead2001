"""Aggregates are what protocol buffers say they are, and a byte that is wrong anywhere makes a plain record.

Rules of this file: the oracle is Google's library with AWS's description of the format; it knows nothing of
ours.
"""

from hashlib import md5
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from tailrace.streams.kinesis.aggregation import MAGIC, UserRecord, read_aggregate, write_aggregate
from tailrace.streams.kinesis.hash_ranges import HASHES

Field = descriptor_pb2.FieldDescriptorProto
TEXTS: Final = st.text(max_size=6)
USER_RECORDS: Final = st.builds(
    UserRecord,
    st.sampled_from(("a", "b", "ü")) | TEXTS,
    st.binary(max_size=20),
    st.none() | st.integers(0, HASHES - 1).map(str) | st.sampled_from(("0", "7")),
)
AGGREGATES: Final = st.lists(USER_RECORDS, max_size=5)


def described() -> Any:
    """The class of AWS's message AggregatedRecord, made from its description."""
    file = descriptor_pb2.FileDescriptorProto(name="aggregation.proto", package="oracle", syntax="proto2")
    messages = {
        "Tag": [("key", 1, Field.TYPE_STRING, "required"), ("value", 2, Field.TYPE_STRING, "optional")],
        "Record": [
            ("partition_key_index", 1, Field.TYPE_UINT64, "required"),
            ("explicit_hash_key_index", 2, Field.TYPE_UINT64, "optional"),
            ("data", 3, Field.TYPE_BYTES, "required"),
            ("tags", 4, "Tag", "repeated"),
        ],
        "AggregatedRecord": [
            ("partition_key_table", 1, Field.TYPE_STRING, "repeated"),
            ("explicit_hash_key_table", 2, Field.TYPE_STRING, "repeated"),
            ("records", 3, "Record", "repeated"),
        ],
    }
    labels = {
        "required": Field.LABEL_REQUIRED,
        "optional": Field.LABEL_OPTIONAL,
        "repeated": Field.LABEL_REPEATED,
    }
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field, number, kind, label in fields:
            one = message.field.add(name=field, number=number, label=labels[label])
            if isinstance(kind, str):
                one.type, one.type_name = Field.TYPE_MESSAGE, f".oracle.{kind}"
            else:
                one.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("oracle.AggregatedRecord"))


AggregatedRecord: Final = described()


def encode(records: list[UserRecord], tags: int) -> bytes:
    """An aggregate as the oracle writes it, each record with keys of its own in the tables, and tags."""
    message = AggregatedRecord()
    for one in records:
        record = message.records.add(partition_key_index=len(message.partition_key_table), data=one.data)
        message.partition_key_table.append(one.partition_key)
        if one.explicit_hash_key is not None:
            record.explicit_hash_key_index = len(message.explicit_hash_key_table)
            message.explicit_hash_key_table.append(one.explicit_hash_key)
        for number in range(tags):
            record.tags.add(key=f"tag{number}", value="x")
    return sealed(message.SerializeToString())


def decode(message: bytes) -> list[UserRecord]:
    """What the oracle reads. Raises: DecodeError, IndexError."""
    aggregate = AggregatedRecord.FromString(message)
    return [
        UserRecord(
            aggregate.partition_key_table[one.partition_key_index],
            one.data,
            aggregate.explicit_hash_key_table[one.explicit_hash_key_index]
            if one.HasField("explicit_hash_key_index")
            else None,
        )
        for one in aggregate.records
    ]


def sealed(message: bytes) -> bytes:
    """An aggregate around a message."""
    return MAGIC + message + md5(message).digest()


@given(AGGREGATES)
def test_what_is_written_is_read_here_and_by_the_oracle(records: list[UserRecord]) -> None:
    data = write_aggregate(records)
    assert decode(data[len(MAGIC) : -16]) == records
    if records:
        assert read_aggregate(data) == tuple(records)


@given(AGGREGATES.filter(bool), st.integers(0, 2))
def test_what_the_oracle_writes_is_read(records: list[UserRecord], tags: int) -> None:
    assert read_aggregate(encode(records, tags)) == tuple(records)


@given(AGGREGATES, st.data())
def test_any_byte_that_is_another_makes_a_plain_record(
    records: list[UserRecord], data: st.DataObject
) -> None:
    aggregate = bytearray(write_aggregate(records))
    place = data.draw(st.integers(0, len(aggregate) - 1))
    aggregate[place] ^= data.draw(st.integers(1, 255))
    assert read_aggregate(bytes(aggregate)) is None


@given(AGGREGATES.filter(bool), st.data())
def test_a_damaged_message_with_a_right_digest_is_read_as_the_oracle_reads_it_or_is_plain(
    records: list[UserRecord], data: st.DataObject
) -> None:
    message = bytearray(write_aggregate(records)[len(MAGIC) : -16])
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, len(message) - 1))
        message[place : place + data.draw(st.integers(0, 1))] = data.draw(st.binary(max_size=2))
        message = message or bytearray(b"\0")
    seen = read_aggregate(sealed(bytes(message)))
    try:
        expected = decode(bytes(message))
    except (DecodeError, IndexError, UnicodeDecodeError):
        expected = None
    assert seen is None or list(seen) == expected
