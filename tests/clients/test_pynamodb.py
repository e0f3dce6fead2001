"""PynamoDB, unmodified: models, conditions, queries, batches."""

from typing import Any

import pytest
from pynamodb.attributes import MapAttribute, NumberAttribute, UnicodeAttribute, UnicodeSetAttribute
from pynamodb.exceptions import DoesNotExist, PutError
from pynamodb.models import Model


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
