"""Records come out as they went in, of every store in which one is kept.

Rules of this file: what goes in is a record of the engine's, made by real writes (all kinds of values, TTL
deletes, writes by handlers); what comes out is compared whole, and so is the event that a function is given
of it, under every view type.
"""

import json
from decimal import Decimal
from typing import Any

import msgspec
import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.app.plain import to_item
from tailrace.deadletters.core.document import InvocationFailure
from tailrace.deadletters.core.entry import DeadLetter, deadletter_fields, deadletter_key, read_deadletter
from tailrace.deadletters.core.head import parked
from tailrace.deadletters.run.courier import FailureDocument
from tailrace.ports import StreamRef
from tailrace.rows.writes import Write
from tailrace.stores.dynamodb_layout import fields_of, item_of, text_of
from tailrace.streams.envelopes import api_record, event_id, lambda_event
from tailrace.streams.record import MILLISECOND, VIEW_TYPES, ChangeRecord, log_row, read_log_row
from tailrace.tables.mutate import Delete, Put
from tests.unit.engine.building import log_of, with_table

KEY = {"pk": "a"}
numbers = st.integers(-(10**37), 10**37) | st.decimals(-1000, 1000, places=3).map(Decimal.normalize)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.recursive(
    numbers
    | texts
    | st.binary(max_size=8)
    | st.booleans()
    | st.none()
    | st.sets(texts, min_size=1, max_size=3)
    | st.sets(st.integers(0, 9), min_size=1, max_size=3),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(texts.filter(bool), inside, max_size=3),
    max_leaves=5,
)
items = st.dictionaries(texts.filter(lambda name: name not in ("", "pk")), values, max_size=4)


@st.composite
def changes(draw: st.DrawFn) -> ChangeRecord:
    """The record of a put, of a put over a put or of a delete, by a user, by TTL or by a handler."""
    engine, _ = with_table()
    engine.transact([Put("orders", to_item(KEY | draw(items)))])
    if draw(st.booleans()):
        engine.transact([Put("orders", to_item(KEY | draw(items)))])
    if draw(st.booleans()):
        engine.transact([Delete("orders", to_item(KEY), by_ttl=draw(st.booleans()))])
    engine.committer.flush()
    record = log_of(engine)[-1]
    return msgspec.structs.replace(record, ancestry=draw(st.sampled_from(["", "shop/note"])))


def letter_of(record: ChangeRecord) -> DeadLetter:
    return DeadLetter(
        record=record,
        event_id=event_id(record),
        shard_id="shard-1",
        handler="note",
        condition="RetryAttemptsExhausted",
        attempts=3,
        error="ValueError: no",
        table="orders",
    )


def kept_by_the_log(record: ChangeRecord) -> ChangeRecord:
    return read_log_row(log_row(record))


def kept_by_the_embedded_state(record: ChangeRecord) -> ChangeRecord:
    engine, _ = with_table()
    key = deadletter_key("shop", "note", record.version)
    engine.state.transact([Write(key, deadletter_fields(letter_of(record)))])
    engine.committer.flush()
    fields = engine.state.get(key)
    assert fields is not None
    return read_deadletter(fields).record


def kept_in_a_dynamodb_table(record: ChangeRecord) -> ChangeRecord:
    fields = deadletter_fields(letter_of(record))
    return read_deadletter(fields_of(item_of("deadletter/shop", fields, text_of(fields)))).record


def kept_behind_a_parked_head(record: ChangeRecord) -> ChangeRecord:
    rows = parked("shop", "note", None, [letter_of(record)], 0)
    fields = rows[-1].fields
    assert fields is not None
    return read_deadletter(orjson.loads(orjson.dumps(fields))).record


def told_by_the_log(record: ChangeRecord) -> ChangeRecord:
    """What the engine's own log keeps of a record: its clock counts milliseconds, the generation is for who
    reads it to say, and no record there came from another server.
    """
    whole_us = record.created_us - record.created_us % MILLISECOND
    return msgspec.structs.replace(
        record, created_us=whole_us, generation=1, precision_us=MILLISECOND, source_id="", rank=0
    )


STORES = (
    kept_by_the_log, kept_by_the_embedded_state, kept_in_a_dynamodb_table, kept_behind_a_parked_head,
)  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(changes())
def test_a_record_comes_out_of_every_store_as_it_went_in(record: ChangeRecord) -> None:
    for store in STORES:
        kept = store(record)
        assert kept == record, store.__name__
        for view in VIEW_TYPES:
            assert api_record(kept, view, "r") == api_record(record, view, "r")
            assert lambda_event([kept], "arn", view, "r") == lambda_event([record], "arn", view, "r")


@settings(max_examples=60, deadline=None)
@given(changes())
def test_a_failure_document_holds_the_event_that_the_function_was_given(record: ChangeRecord) -> None:
    function = "arn:aws:lambda:us-east-1:000000000000:function:m"
    told = InvocationFailure("request", function, "RetryAttemptsExhausted", 2, "shard-1", "arn", 0)
    kept = msgspec.structs.replace(letter_of(record), record=kept_by_the_embedded_state(record))
    for view in VIEW_TYPES:
        stream = StreamRef("arn", "orders", "label", view, "r")
        document: dict[str, Any] = json.loads(FailureDocument(told, [kept], stream, "m").object)
        assert document["payload"].encode() == lambda_event([record], "arn", view, "r")


@settings(max_examples=30, deadline=None)
@given(changes(), st.data())
def test_no_field_of_a_record_is_forgotten(record: ChangeRecord, data: st.DataObject) -> None:
    other = {
        "sequence": 7, "shard": 9, "event_name": "REMOVE", "created_us": 5_003, "size_bytes": 99,
        "partition": 2**64 - 1, "key": b"\xff",
        "keys": b'{"pk":{"S":"\xc3\xa4"}}', "old": b'{"a":{"N":"1"}}', "new": None, "by_ttl": True,
        "keys_size": 11, "new_size": 12,
        "ancestry": "shop/other", "generation": 2, "precision_us": 1, "source_id": "0e1f", "rank": 8,
    }  # fmt: skip
    assert set(other) == set(ChangeRecord.__struct_fields__)
    changed = msgspec.structs.replace(
        record,
        **data.draw(
            st.fixed_dictionaries({}, optional={name: st.just(value) for name, value in other.items()})
        ),
    )
    for store in STORES:
        assert store(changed) == (told_by_the_log(changed) if store is kept_by_the_log else changed), (
            store.__name__
        )
