"""Projections rebuilt from the journal, in worlds: whatever is written, whoever dies and however late the
journal is, a rebuild is the live projection exactly; and one that is added today has what was before.

Rules of this file: what is expected is a fold over the changes, and what the projection said that has lived
from the beginning.
"""

from collections.abc import Mapping
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from tailrace import App
from tailrace.errors import SettingsError
from tailrace.journal.run.reading import JournalView
from tailrace.testing import World

SEEDS = range(4)


def shop(*versions: int) -> App:
    """Both kinds of projections, of these versions."""
    app = App("shop")
    orders = app.table("orders", pk="id", ttl="expires_at")
    app.archive(orders, "history/")
    for version in versions:

        @app.projection(orders, by="country", id="sales", version=version)
        def sales(total: Decimal, order: dict[str, Any], sign: int) -> Decimal:
            return total + sign * order["total"]

        @app.projection(orders, by="country", id="ever", version=version, history=True)
        def ever(total: Decimal, order: dict[str, Any], sign: int) -> Decimal:
            return total + max(sign, 0) * order["total"]

    return app


def written_at_random(world: World, choose: Random) -> None:
    client, name = world.client("dynamodb"), f"o{choose.randrange(6)}"
    item = {
        "id": {"S": name},
        "country": {"S": choose.choice(["NL", "BE", "FR"])},
        "total": {"N": str(choose.randrange(100))},
    }
    match choose.randrange(6):
        case 0:
            client.delete_item(TableName="orders", Key={"id": {"S": name}})
        case 1:
            other = {**item, "id": {"S": "both"}}
            puts = [{"Put": {"TableName": "orders", "Item": one}} for one in (item, other)]
            client.transact_write_items(TransactItems=puts)
        case 2:
            expires = {"N": str(world.clock.now().wall_ms // 1_000 + 60)}
            client.put_item(TableName="orders", Item={**item, "expires_at": expires})
        case _:
            client.put_item(TableName="orders", Item=item)


def said(world: World, name: str) -> dict[Any, tuple[Any, int]]:
    projected = world.projected(name)
    return {key: (projected[key], projected.count(key)) for key in projected}


def fold(app: App, names: set[str]) -> dict[str, tuple[Decimal, int]]:
    """Country → (the total of all that ever entered it, how many images that were), change by change."""
    groups: dict[str, tuple[Decimal, int]] = {}
    for name in names:
        for change in app.history("orders", {"id": name}):
            if change.happened != "BASE" and change.new is not None:
                total, count = groups.get(change.new["country"], (Decimal(0), 0))
                groups[change.new["country"]] = (total + change.new["total"], count + 1)
    return groups


def builds(world: World) -> dict[str, Mapping[str, Any]]:
    (answer,) = world._ask("projection.ls", {})
    return {build["projection"]: build for build in answer}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_rebuild_is_the_live_projection_exactly(seed: int) -> None:
    choose, app = Random(seed), shop(1)
    with World(app, seed=seed, shards=2) as world:
        world.settle()  # the journal has its base, and both live from the first change on
        for step in range(40):
            written_at_random(world, choose)
            match choose.randrange(8):
                case 0:
                    world.advance(choose.choice(["1s", "3m", "7h"]))
                case 1:
                    world.kill()
                    world.restart()
                case 2 if step > 20:
                    world._ask("projection.rebuild", {"projection": choose.choice(["sales", "ever"])})
                    world.settle()
        world.settle()
        live = {name: said(world, name) for name in ("sales", "ever")}
        names = {f"o{number}" for number in range(6)} | {"both"}
        assert live["ever"] == fold(app, names)
        for name in ("sales", "ever"):
            world._ask("projection.rebuild", {"projection": name})
        world.settle()
        shown = builds(world)
        for name in ("sales", "ever"):
            assert said(world, name) == live[name]
            build = shown[name]
            assert (build["from"], build["lacking"], build["served"]) == ("journal", [], True)
            assert build["build"].startswith("1.")


def test_a_projection_that_is_added_today_has_what_table_and_stream_have_forgotten() -> None:
    with World(shop(), seed=1) as world:
        world.put("orders", {"id": "o1", "country": "NL", "total": 10})
        world.put("orders", {"id": "o2", "country": "NL", "total": 5})
        world.advance("26h")
        world.put("orders", {"id": "o1", "country": "BE", "total": 7})
        world.delete("orders", {"id": "o2"})
        world.advance("26h")
        world.kill()
        world.use(shop(1))
        world.settle()
        assert said(world, "ever") == {"NL": (15, 2), "BE": (7, 1)}
        assert said(world, "sales") == {"BE": (7, 1)}
        world.put("orders", {"id": "o3", "country": "BE", "total": 1})
        world.settle()
        assert said(world, "ever") == {"NL": (15, 2), "BE": (8, 2)}


def test_a_journal_without_a_base_is_no_source_but_for_history_which_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with World(shop(1), seed=1) as world:
        world.put("orders", {"id": "o1", "country": "NL", "total": 10})
        world.settle()
        monkeypatch.setattr(JournalView, "base", None)
        world.kill()
        world.use(shop(1, 2))
        world.settle()
        world.advance("5m")
        (answer,) = world._ask("projection.ls", {})
        shown = {(build["projection"], build["build"]): build for build in answer}
        assert (shown["sales", "2"]["from"], shown["sales", "2"]["served"]) == ("table", True)
        ever = shown["ever", "2"]
        assert (ever["from"], ever["filled"], ever["served"]) == ("journal", True, False)
        assert "the journal has no base" in ever["lacking"][0]
        with pytest.raises(Exception, match="the journal has no base"):
            world._ask("projection.swap", {"projection": "ever"})
        world._ask("projection.swap", {"projection": "ever", "force": True})
        assert world.projected("ever").build == "2"


def test_history_without_a_journal_is_refused_where_it_is_written() -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")
    with pytest.raises(SettingsError, match=r"declare app.archive\(orders, 'history/'\) before it"):

        @app.projection(orders, history=True)
        def ever(count: int, order: dict[str, Any], sign: int) -> int:
            return count
