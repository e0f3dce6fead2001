"""What is refused before a worker begins: each with the command that would make it fit."""

import asyncio
from collections.abc import Iterator

import pytest

from tailrace.app.app import App
from tailrace.app.change import Change
from tailrace.aws.places import Access
from tailrace.errors import SettingsError, SourceError
from tailrace.sources.far_tables import check_app, check_tables, records_effects
from tests.far_streams import FarTable, far
from tests.serving import Served


@pytest.fixture
def place() -> Iterator[tuple[Served, Access]]:
    with far() as place:
        yield place


def app_of(name: str, *, pk: str = "pk", stream: str = "NEW_AND_OLD_IMAGES") -> App:
    app = App("shop")
    table = app.table(name, pk=pk, stream=stream)  # type: ignore[arg-type]
    app.on(table, id="note")(lambda change: None)
    return app


def refusal(app: App, access: Access) -> SettingsError:
    with pytest.raises(SettingsError) as refused:
        asyncio.run(check_tables(app, access))
    return refused.value


def test_a_table_as_declared_is_taken_and_its_name_tells_where_it_is(place: tuple[Served, Access]) -> None:
    served, access = place
    table = FarTable(served)
    where = asyncio.run(check_tables(app_of(table.name), access))
    assert (where.region, where.account) == ("us-east-1", "000000000000")


def test_keys_of_another_name_are_refused(place: tuple[Served, Access]) -> None:
    served, access = place
    error = refusal(app_of(FarTable(served).name, pk="id"), access)
    assert "has the keys pk (S), and the app declares id (S)" in str(error)


def test_a_view_type_that_lacks_an_image_is_refused_and_one_that_has_more_is_taken(
    place: tuple[Served, Access],
) -> None:
    served, access = place
    narrow = FarTable(served, "NEW_IMAGE")
    error = refusal(app_of(narrow.name), access)
    assert "has NEW_IMAGE, and the app declares NEW_AND_OLD_IMAGES" in str(error)
    assert "StreamEnabled=false --region us-east-1 --endpoint-url" in str(error.hint)
    asyncio.run(check_tables(app_of(narrow.name, stream="KEYS_ONLY"), access))
    asyncio.run(check_tables(app_of(FarTable(served).name, stream="OLD_IMAGE"), access))


def test_a_table_that_no_handler_reads_needs_no_stream(place: tuple[Served, Access]) -> None:
    served, access = place
    table = FarTable(served)
    table.switch(None)
    assert "has no stream" in str(refusal(app_of(table.name), access))
    app = App("shop")
    app.table(table.name, pk="pk")
    asyncio.run(check_tables(app, access))


def test_an_endpoint_that_does_not_answer_is_an_outage(place: tuple[Served, Access]) -> None:
    from tests.crash.node import free_port

    away = Access("us-east-1", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(SourceError):
        asyncio.run(check_tables(app_of("orders"), away))


def test_a_table_of_another_region_is_refused(place: tuple[Served, Access]) -> None:
    _, access = place
    app = App("shop")
    app.on(app.table("orders", pk="pk", region="eu-west-1"), id="note")(lambda change: None)
    assert "'orders' is declared with a region" in str(refusal(app, access))


def test_code_that_records_writes_is_known_by_its_names_in_functions_inside_it_too() -> None:
    def outside(change: Change) -> None:
        def inside() -> None:
            change.transaction.delete("orders", {"pk": "a"})

        inside()

    assert records_effects(outside)
    assert not records_effects(lambda change: change.key)
    assert not records_effects(print)


def test_marks_allow_effects() -> None:
    app = app_of("orders")
    app.on(app.tables["orders"], id="paid", once=True)(lambda change: None)
    check_app(app, has_marks=True)
    with pytest.raises(SettingsError, match="'paid' uses once=True"):
        check_app(app, has_marks=False)
