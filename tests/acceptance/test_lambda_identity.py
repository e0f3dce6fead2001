"""A mapping of Lambda's API is of one stream: through the deletion of its table, the next table of that name,
off and on, restarts, and the stream's end.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.lambda_shop import ORDERS, Shop
from tests.acceptance.test_dlq_cli import asked, run
from tests.command_line import tailrace
from tests.patience import until


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A server whose time stands still until it is moved."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    shop = Shop(tmp_path, ("arns",), ("--clock", "manual"))
    yield shop
    shop.node.stop()


def made(shop: Shop) -> str:
    """The stream of the table, which is made."""
    return str(shop.tables.create_table(**ORDERS)["TableDescription"]["LatestStreamArn"])


def mapped(shop: Shop, arn: str) -> str:
    """A mapping of the stream that runs."""
    given = {"EventSourceArn": arn, "FunctionName": "arns", "StartingPosition": "TRIM_HORIZON"}
    uuid = str(shop.client.create_event_source_mapping(**given)["UUID"])
    until(lambda: shop.state(uuid), "Enabled")
    return uuid


def told(shop: Shop) -> list[list[str]]:
    """The ARN and the key of every record that the function was given."""
    file = shop.output.with_name("arns")
    return sorted(line.split() for line in file.read_text().splitlines()) if file.exists() else []


def result(shop: Shop, uuid: str) -> str:
    return str(shop.client.get_event_source_mapping(UUID=uuid)["LastProcessingResult"])


def advance(shop: Shop, time: str) -> None:
    answer = tailrace("clock", "advance", time, "--data", str(shop.node.directory / "data"))
    assert answer.returncode == 0, answer.stderr


def deleted(shop: Shop) -> None:
    shop.tables.delete_table(TableName="orders")


def switched(shop: Shop) -> str:
    """The stream that follows when the table's is switched off and on."""
    for specification in ({"StreamEnabled": False}, ORDERS["StreamSpecification"]):
        shop.tables.update_table(TableName="orders", StreamSpecification=specification)
    return str(shop.tables.describe_table(TableName="orders")["Table"]["LatestStreamArn"])


@pytest.mark.parametrize("how", ["deleted and made again", "switched off and on"])
def test_a_mapping_delivers_its_own_stream_and_nothing_of_the_next_one(shop: Shop, how: str) -> None:
    first = made(shop)
    old = mapped(shop, first)
    shop.put("one")
    if how == "switched off and on":
        second = switched(shop)
    else:
        deleted(shop)
        advance(shop, "2s")
        second = made(shop)
    assert first != second
    new = mapped(shop, second)
    shop.put("two")
    expected = sorted([[first, "one"], [second, "two"]])
    until(lambda: told(shop), expected)
    until(lambda: result(shop, new), "OK")
    assert (shop.state(old), result(shop, old)) == ("Enabled", f"PROBLEM: Stream is disabled: {first}")
    assert shop.node.stop() == 0
    shop.start()
    shop.put("three")
    until(lambda: told(shop), sorted([*expected, [second, "three"]]))
    advance(shop, "25h")
    assert (shop.state(old), result(shop, old)) == ("Enabled", f"PROBLEM: Stream not found: {first}")
    assert (shop.state(new), result(shop, new)) == ("Enabled", "OK")


def test_what_a_deleted_table_s_stream_still_holds_is_delivered_after_a_restart(shop: Shop) -> None:
    first = made(shop)
    old = mapped(shop, first)
    shop.client.update_event_source_mapping(UUID=old, Enabled=False)
    until(lambda: shop.state(old), "Disabled")
    shop.put("one")
    deleted(shop)
    assert shop.node.stop() == 0
    shop.start()
    shop.client.update_event_source_mapping(UUID=old, Enabled=True)
    until(lambda: told(shop), [[first, "one"]])
    assert "orders" not in shop.tables.list_tables()["TableNames"], "a mapping made its table again"


def test_the_dead_letters_of_a_deleted_mapping_are_there_for_people_and_go_when_they_drop_it(
    shop: Shop,
) -> None:
    given = {"FunctionName": "fail", "StartingPosition": "TRIM_HORIZON", "MaximumRetryAttempts": 0}
    uuid = str(shop.client.create_event_source_mapping(EventSourceArn=made(shop), **given)["UUID"])
    shop.put("bad")
    until(lambda: [letter["key"] for letter in asked(shop.node.directory, "dlq", "ls")["letters"]], ["bad"])
    shop.client.delete_event_source_mapping(UUID=uuid)
    until(lambda: shop.state(uuid), "gone")
    left = asked(shop.node.directory, "mapping", "ls")
    assert [(handler["handler"], handler["running"]) for handler in left] == [(uuid, False)]
    assert [letter["handler"] for letter in asked(shop.node.directory, "dlq", "ls")["letters"]] == [uuid]
    assert "dead letters" in run(shop.node.directory, "mapping", "drop", uuid).stderr
    assert asked(shop.node.directory, "mapping", "drop", uuid, "--yes")["lost"] == {"dead letters": 1}
    assert asked(shop.node.directory, "mapping", "ls") == []


def test_a_mapping_of_the_api_is_dropped_by_the_api(shop: Shop) -> None:
    uuid = mapped(shop, made(shop))
    refused = run(shop.node.directory, "mapping", "drop", uuid)
    assert f"aws lambda delete-event-source-mapping --uuid {uuid}" in refused.stderr
