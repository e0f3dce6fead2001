"""An app's tables are in a region and an account: its own unless told, and in worlds as on AWS apart from
those of others."""

import logging
from pathlib import Path

import pytest

from tailrace import App, Change
from tailrace.app.table import name_in
from tailrace.compose import EngineOptions, create_tables, open_engine
from tailrace.engine.engine import EngineSettings
from tailrace.errors import SettingsError
from tailrace.testing import World

ARN_THERE = "arn:aws:dynamodb:eu-west-1:000000000000:table/orders"


def two_regions() -> tuple[App, list[tuple[str, str]]]:
    """An app with a table `orders` in two regions, and what its handlers were told."""
    app, told = App("shop"), []
    here, there = app.table("orders", pk="id"), app.table("orders", pk="number", region="eu-west-1")

    @app.on(here)
    def of_here(change: Change) -> None:
        told.append((change.table, change.new["id"] if change.new else ""))

    @app.on(there)
    def of_there(change: Change) -> None:
        told.append((change.table, change.new["number"] if change.new else ""))
        change.transaction.put(here, {"id": "from-there"})

    return app, told


def test_tables_of_one_name_in_two_regions_have_their_own_items_and_handlers() -> None:
    app, told = two_regions()
    with World(app) as world:
        there = world.client("dynamodb", region="eu-west-1")
        there.put_item(TableName="orders", Item={"number": {"S": "n1"}})
        world.put(app.tables["orders"], {"id": "i1"})
        world.settle()
        assert sorted(told) == [(ARN_THERE, "n1"), ("orders", "from-there"), ("orders", "i1")]
        world.restart()
        world.put(app.tables[ARN_THERE], {"number": "n2"})
        world.settle()
        assert sorted(told)[:2] == [(ARN_THERE, "n1"), (ARN_THERE, "n2")]
        assert len(there.scan(TableName="orders")["Items"]) == 2
        assert [item["id"] for item in world.scan(app.tables["orders"])] == ["from-there", "i1"]
        kept = [row.key for row in world.engine.state.query("")]
        assert any("orders" in key and "arn:" not in key for key in kept)
        assert any("arn:" in key for key in kept)


def test_an_account_is_a_namespace_of_its_own() -> None:
    app = App("shop")
    app.table("orders", pk="id", account="111111111111")
    with World(app) as world:
        assert world.client("dynamodb").list_tables()["TableNames"] == []
        theirs = world.client("dynamodb", account="111111111111")
        assert theirs.list_tables()["TableNames"] == ["orders"]


def test_the_region_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
    assert App("shop").region == "eu-west-2"
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    app = App("shop")
    orders = app.table("orders", pk="id")
    assert (orders.name, app.table("orders", pk="id", region="us-east-1").place) == (
        "orders",
        ("us-east-1", "000000000000", "orders"),
    )
    with World(app, settings=EngineSettings(shards=2)) as world:
        described = world.client("dynamodb").describe_table(TableName="orders")["Table"]
        assert described["TableArn"] == ARN_THERE
        assert world.split(orders) == 4


def test_a_region_or_account_that_cannot_be_is_refused() -> None:
    assert name_in("orders", "us-east-1", "000000000000", "us-east-1") == "orders"
    for region, account in (("EU West", "000000000000"), ("eu-west-1", "1")):
        with pytest.raises(SettingsError, match="is not allowed"):
            App("shop").table("orders", pk="id", region=region, account=account)
    with pytest.raises(SettingsError, match="declared twice"):
        two_regions()[0].table("orders", pk="id", region="eu-west-1")


def test_a_table_of_that_name_elsewhere_is_told_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    app = App("shop")
    app.table("orders", pk="id")
    with World() as world, caplog.at_level(logging.WARNING):
        world.client("dynamodb", region="eu-west-1").create_table(
            TableName="orders",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        world.use(app)
    assert [record.getMessage() for record in caplog.records] == [
        "table orders is made: there is no table orders in region us-east-1, account 000000000000; there is "
        f"{ARN_THERE}, which region= and account= of app.table name"
    ]


def test_a_data_directory_of_another_region_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(EngineOptions(tmp_path))
    create_tables(two_regions()[0], engine)
    engine.close()
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    app = App("shop")
    app.table("orders", pk="number")
    engine = open_engine(EngineOptions(tmp_path, settings=EngineSettings(region=app.region)))
    try:
        with pytest.raises(SettingsError, match="was begun in region us-east-1") as refused:
            create_tables(app, engine)
    finally:
        engine.close()
    assert str(refused.value.hint).startswith("AWS_REGION=us-east-1 ")


def test_one_namespace_takes_tables_of_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    with World(settings=EngineSettings(one_namespace=True)) as world:
        with pytest.raises(SettingsError, match="has one namespace for all of them"):
            world.use(two_regions()[0])
        monkeypatch.setenv("AWS_REGION", "eu-west-1")
        app = App("shop")
        app.table("orders", pk="id")
        world.use(app)
        assert world.client("dynamodb", region="ap-south-1").list_tables()["TableNames"] == ["orders"]
