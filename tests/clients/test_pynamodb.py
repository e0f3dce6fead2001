"""PynamoDB, unmodified: models, conditions, queries, batches."""

from typing import Any

import pytest
from pynamodb.attributes import MapAttribute, NumberAttribute, UnicodeAttribute, UnicodeSetAttribute
from pynamodb.connection import Connection
from pynamodb.exceptions import DoesNotExist, PutError, TransactWriteError
from pynamodb.models import Model
from pynamodb.transactions import TransactGet, TransactWrite


def declare(endpoint: str, table: str) -> Any:
    """A model on its own table."""

    class Order(Model):
        """One order line."""

        class Meta:
            """Where it lives."""

            table_name = table
            host = endpoint
            region = "eu-north-1"
            aws_access_key_id = "who"
            aws_secret_access_key = "ever"
            billing_mode = "PAY_PER_REQUEST"

        customer = UnicodeAttribute(hash_key=True)
        number = NumberAttribute(range_key=True)
        status = UnicodeAttribute(default="new")
        tags = UnicodeSetAttribute(null=True)
        extra: Any = MapAttribute(null=True)

    Order.create_table(wait=True)
    return Order


def test_a_model_lives_its_life(endpoint: str, table: str) -> None:
    order = declare(endpoint, table)
    assert order.exists()
    order("anna", 1, tags={"a", "b"}, extra={"floor": 3}).save()
    read = order.get("anna", 1)
    assert (read.status, read.tags, read.extra["floor"]) == ("new", {"a", "b"}, 3)
    read.update(actions=[order.status.set("paid"), order.tags.delete({"a"})], condition=order.status == "new")
    assert (order.get("anna", 1).status, order.get("anna", 1).tags) == ("paid", {"b"})
    with pytest.raises(PutError) as failure:
        order("anna", 1).save(condition=order.customer.does_not_exist())
    assert failure.value.cause_response_code == "ConditionalCheckFailedException"
    read.delete()
    with pytest.raises(DoesNotExist):
        order.get("anna", 1)
    order.delete_table()


def test_batches_queries_and_scans_agree(endpoint: str, table: str) -> None:
    order = declare(endpoint, table)
    with order.batch_write() as batch:
        for number in range(60):
            batch.save(order(f"c{number % 2}", number))
    assert [one.number for one in order.query("c1", order.number < 10)] == [1, 3, 5, 7, 9]
    assert [one.number for one in order.query("c1", order.number > 50, scan_index_forward=False)] == [
        59,
        57,
        55,
        53,
        51,
    ]
    assert sum(1 for _ in order.scan(order.number >= 30, page_size=7)) == 30
    assert order.count("c0") == 30
    assert len(list(order.batch_get([("c0", number) for number in range(0, 60, 2)]))) == 30


def test_transactions_are_whole_and_tell_why_not(
    endpoint: str, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "who")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ever")
    order = declare(endpoint, table)
    connection = Connection(region="eu-north-1", host=endpoint)
    with TransactWrite(connection=connection, client_request_token="once") as transaction:
        transaction.save(order("anna", 1), condition=order.customer.does_not_exist())
        transaction.save(order("anna", 2))
    with pytest.raises(TransactWriteError) as failure, TransactWrite(connection=connection) as transaction:
        transaction.update(
            order("anna", 1), actions=[order.status.set("paid")], condition=order.status == "new"
        )
        transaction.condition_check(order, "anna", 2, condition=order.status == "paid")
    reasons = failure.value.cancellation_reasons
    # PynamoDB sends its checks first, whatever the order in the program.
    assert [reason and reason.code for reason in reasons] == ["ConditionalCheckFailed", None]
    with TransactGet(connection=connection) as read:
        orders = [read.get(order, "anna", number) for number in (1, 2)]
    assert [one.get().status for one in orders] == ["new", "new"]
