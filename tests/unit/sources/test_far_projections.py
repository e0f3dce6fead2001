"""Which projections a worker runs, what they are filled from, and in which words it refuses the others."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace import sinks
from tailrace.app.app import App
from tailrace.aws.places import Access
from tailrace.cli.explain_worker import on_worker, tell_worker
from tailrace.errors import SettingsError, SourceError
from tailrace.server.observe import Observed, metrics
from tailrace.sources.far_items import FarItems
from tailrace.sources.far_projections import EXACT, TIMED, check_projections, filling_of
from tailrace.streams.positions import position_value, read_position
from tailrace.testing.proxy import Refuse
from tailrace.version import __version__
from tests.far_streams import FarTable, far
from tests.older_server import OlderServer
from tests.serving import Served


@pytest.fixture
def place() -> Iterator[tuple[Served, Access]]:
    with far() as (served, access):

        async def observed() -> tuple[int, str, bytes]:
            return metrics(Observed(version=__version__))

        served.server.routes["/metrics"] = observed
        yield served, access


def projecting(table: str, into: object = None) -> App:
    app = App("shop")
    orders = app.table(table, pk="pk")
    if into == "table":
        into = app.table("totals", pk="pk", sk="sk")

    @app.projection(orders, by="pk", into=into, id="totals")
    def totals(total: int, item: dict[str, object], sign: int) -> int:
        return total + sign

    return app


def refusal(app: App, access: Access, *, has_marks: bool = False) -> SettingsError:
    with pytest.raises(SettingsError) as refused:
        asyncio.run(check_projections(app, access, has_marks=has_marks))
    return refused.value


def test_a_projection_is_taken_where_the_server_tells_positions(place: tuple[Served, Access]) -> None:
    served, access = place
    table = FarTable(served)
    table.write(3)
    asyncio.run(check_projections(projecting(table.name), access, has_marks=False))
    asyncio.run(check_projections(projecting(table.name, "table"), access, has_marks=True))


def test_a_projection_is_taken_where_no_position_is_told(place: tuple[Served, Access]) -> None:
    served, access = place
    table = FarTable(served)
    (mapping,) = projecting(table.name).mappings
    for items in (0, 3):
        table.write(items)
        assert asyncio.run(filling_of(mapping.table, access)) == EXACT
        with OlderServer(str(access.endpoint_url), is_ours=False) as other:
            there = Access("us-east-1", other.url)
            asyncio.run(check_projections(projecting(table.name), there, has_marks=False))
            assert asyncio.run(filling_of(mapping.table, there)) == TIMED


def test_a_table_whose_items_cannot_be_read_by_keys_is_an_error_before_the_worker_begins(
    place: tuple[Served, Access],
) -> None:
    served, access = place
    table = FarTable(served)
    table.write(3)
    with OlderServer(str(access.endpoint_url), is_ours=False) as other:
        other.on("BatchGetItem", Refuse("AccessDeniedException", "no BatchGetItem for you"))
        with pytest.raises(SourceError, match="no BatchGetItem for you"):
            asyncio.run(
                check_projections(projecting(table.name), Access("us-east-1", other.url), has_marks=False)
            )


def test_rows_in_a_table_need_marks_and_rows_in_a_file_are_refused(
    place: tuple[Served, Access], tmp_path: Path
) -> None:
    served, access = place
    name = FarTable(served).name
    error = refusal(projecting(name, "table"), access)
    assert "table 'totals'" in str(error)
    assert "--marks TABLE" in str(error.hint)
    file = sinks.DuckDB(str(tmp_path / "totals.duckdb"), "totals")
    error = refusal(projecting(name, file), access, has_marks=True)
    assert "DuckDB" in str(error)
    assert "every worker writes all groups" in str(error)


def test_an_app_without_projections_asks_nothing() -> None:
    app = App("shop")
    app.on(app.table("orders", pk="pk"), id="note")(lambda change: None)
    nowhere = Access("us-east-1", "http://127.0.0.1:9")
    asyncio.run(check_projections(app, nowhere, has_marks=False))


def test_a_page_without_a_position_says_so_and_one_of_another_format_is_an_error(
    place: tuple[Served, Access],
) -> None:
    served, access = place
    table = FarTable(served)
    table.write(3)
    (mapping,) = projecting(table.name).mappings
    with OlderServer(str(access.endpoint_url), is_ours=True) as older:
        items = FarItems(Access("us-east-1", older.url), [mapping.table])
        page = asyncio.run(items.page(table.name, None, 2))
        assert (page.position, len(page.items)) == (None, 2)
        assert not asyncio.run(items.tells_positions(table.name))
        keys = [{"pk": {"S": name}} for name in ("item 1", "nothing", "item 0")]
        images = asyncio.run(items.items(table.name, keys))
        assert [image and image["pk"] for image in images] == [{"S": "item 1"}, None, {"S": "item 0"}]
    sorted_table = FarTable(served, sort=True)
    sorted_table.put("item 7", sk={"N": "1.5"})
    declared = App("shop").table(sorted_table.name, pk="pk", sk="sk")
    keys = [{"pk": {"S": "item 7"}, "sk": {"N": number}} for number in ("1.5", "2")]
    images = asyncio.run(FarItems(access, [declared]).items(sorted_table.name, keys))
    assert [image is None for image in images] == [False, True]
    assert read_position(position_value(7)) == "1000000000000000000007"
    for value in ("2 1000000000000000000007", "1", "1 x", "", "1 ١"):
        with pytest.raises(SourceError, match="this version reads format 1"):
            read_position(value)


# ---- explain -----------------------------------------------------------------------------------------------


def test_explain_says_what_is_filled_from_what_and_why_a_worker_would_not_begin(
    place: tuple[Served, Access],
) -> None:
    served, access = place
    app = projecting(FarTable(served).name)
    (handler,) = asyncio.run(on_worker(app, access, has_marks=False))
    assert (handler["runs"], handler["filled"]) == (True, EXACT)
    with OlderServer(str(access.endpoint_url), is_ours=False) as other:
        there = Access("us-east-1", other.url)
        (handler,) = asyncio.run(on_worker(app, there, has_marks=False))
        assert (handler["runs"], handler["refused"], handler["filled"]) == (True, [], TIMED)
    app = projecting(FarTable(served).name, "table")
    (handler,) = asyncio.run(on_worker(app, access, has_marks=False))
    error = refusal(app, access)
    ((says, hint),) = handler["refused"]
    assert (f"projection 'totals' {says}", hint) == (str(error.args[0]), error.hint)
    assert "filled" not in handler


def test_explain_prints_which_handlers_a_worker_runs(
    place: tuple[Served, Access], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served, access = place
    table = FarTable(served)
    (tmp_path / "shop_by_a_worker.py").write_text(
        f"""
from tailrace import App

app = App("shop")
orders = app.table({table.name!r}, pk="pk")
gone = app.table("gone", pk="pk")

@app.on(orders, once=True)
def mail(change): ...

@app.projection(orders, by="pk")
def totals(total: int, item: dict, sign: int) -> int:
    return total + sign

@app.projection(gone, by="pk")
def others(total: int, item: dict, sign: int) -> int:
    return total + sign
"""
    )
    file = str(tmp_path / "shop_by_a_worker.py")
    tell_worker(file, None, access.endpoint_url, "us-east-1", as_json=False)
    said = capsys.readouterr().out
    assert f"totals@v1 ← {table.name}: runs" in said
    assert f"filled    from {EXACT}" in said
    assert f"mail ← {table.name}: is refused" in said
    assert "uses once=True" in said
    assert "its table was not read" in said
    tell_worker(file, "dynamodb:state", access.endpoint_url, "us-east-1", as_json=True)
    assert '{"handler": "mail", "table": "' + table.name + '", "runs": true' in capsys.readouterr().out
