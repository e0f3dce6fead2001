"""Forgetting a handler: all of it goes, nothing of others does, and what was never handled only when
the user says so.
"""

import asyncio
from typing import Any

import pytest

from tailrace import App, Change
from tailrace.errors import SettingsError, TailraceError
from tailrace.rows.kinds import KINDS, LEASE, MAPPING
from tailrace.rows.writes import Write
from tailrace.server.control import Subject
from tailrace.server.mapping_verbs import forget_idle
from tailrace.worker.declared import check_declared
from tests.unit.rows.every_kind import MADE
from tests.unit.rows.test_every_kind import OF_MAPPINGS, OLD, OTHER, ask, rows, store
from tests.unit.server.admin import FixedWorker, Ground

NOUNS = {kind.name: kind.holds for kind in KINDS.values() if kind.holds}


def ground_with(*kinds: str, mapping: str = "mail") -> Ground:
    """An engine where a mapping has a row of each of these kinds and has read its stream to the end."""
    ground = Ground()
    ground.settle(mapping, ground.engine.last_sequence)
    names = (MAPPING.key("app", mapping), {"v": 1, "id": mapping, "table": "shop"})
    made = [names, *(MADE[kind]("app", mapping) for kind in kinds)]
    ground.engine.state.transact([Write(key, fields) for key, fields in made])
    return ground


def forgotten(ground: Ground, **declared: str) -> list[str]:
    return asyncio.run(forget_idle(ground.subject, "app", declared))


@pytest.mark.parametrize("name", OF_MAPPINGS)
def test_drop_removes_a_row_of_every_kind_and_none_of_another_mapping(name: str) -> None:
    ground = store(OLD, OTHER)
    before = rows(ground)
    ask(ground, "mapping.drop", handler=OLD, yes=True)
    after = rows(ground)
    assert MADE[name]("app", OLD)[0] not in after
    kept = MADE[name]("app", OTHER)[0]
    assert after[kept] == before[kept]


def test_drop_says_what_goes_by_kind_and_a_dry_run_removes_nothing() -> None:
    ground = store(OLD, OTHER)
    before = rows(ground)
    planned = ask(ground, "mapping.drop", handler=OLD, dry_run=True)
    assert rows(ground) == before
    assert planned["kinds"] == dict.fromkeys(OF_MAPPINGS, 1)
    assert planned["lost"] == dict.fromkeys(NOUNS.values(), 1)
    assert [(letter["event_id"], letter["key"]) for letter in planned["letters"]] == [("e1", "o1")] * 2
    done = ask(ground, "mapping.drop", handler=OLD, yes=True)
    assert done == {**planned, "dry_run": False}
    assert len(before) - len(rows(ground)) == done["rows"] == len(OF_MAPPINGS)


@pytest.mark.parametrize("kind", NOUNS)
def test_what_was_never_handled_goes_only_when_somebody_says_so(kind: str) -> None:
    ground = ground_with(kind)
    with pytest.raises(TailraceError, match=f"never handled 1 {NOUNS[kind]}") as caught:
        ask(ground, "mapping.drop", handler="mail")
    assert "--yes" in (caught.value.hint or "")
    assert ask(ground, "mapping.drop", handler="mail", yes=True)["lost"] == {NOUNS[kind]: 1}
    assert [row.key for row in ground.engine.state.query(KINDS[kind].prefix())] == []


def test_changes_that_wait_in_the_stream_are_never_handled_too() -> None:
    ground = ground_with()
    ground.put("o1")
    with pytest.raises(TailraceError, match="changes in its streams"):
        ask(ground, "mapping.drop", handler="mail")
    planned = ask(ground, "mapping.drop", handler="mail", dry_run=True)
    assert planned["waiting_since_ms"] == ground.records()[0].created_ms


def test_a_mapping_with_nothing_pending_needs_no_word_and_the_last_takes_its_apps_leases() -> None:
    ground = ground_with("lease")
    assert ask(ground, "mapping.drop", handler="mail")["lost"] == {}
    assert rows(ground) == {}


def test_the_leases_of_an_app_stay_while_it_has_another_mapping() -> None:
    ground = store(OLD, OTHER)
    ask(ground, "mapping.drop", handler=OLD, yes=True)
    assert ground.engine.state.count(LEASE.prefix("app")) == 1


@pytest.mark.parametrize("verb", ["mapping.drop", "mapping.rename"])
def test_what_runs_neither_goes_nor_moves(verb: str) -> None:
    ground = ground_with()
    sinks: Any = {"mail": None}
    worker: Any = FixedWorker(sinks=sinks)
    ground.subject = Subject(ground.engine, ground.clock, worker=worker)
    with pytest.raises(TailraceError, match="runs now"):
        ask(ground, verb, handler="mail", to="post", yes=True)


@pytest.mark.parametrize("verb", ["mapping.drop", "mapping.rename"])
@pytest.mark.parametrize(
    ("mapping", "owner", "word"),
    [("u-1", "esm", "delete-event-source-mapping"), ("sales@v1", "projection", "projection drop")],
)
def test_a_mapping_that_belongs_to_something_else_is_refused_with_the_command_that_removes_it(
    verb: str, mapping: str, owner: str, word: str
) -> None:
    ground = ground_with(owner, mapping=mapping)
    with pytest.raises(TailraceError) as caught:
        ask(ground, verb, handler=mapping, to="post", yes=True)
    assert word in (caught.value.hint or "")


def test_a_renaming_that_was_cut_off_goes_on_under_its_name_alone_and_no_worker_begins_before() -> None:
    ground = ground_with("checkpoint")
    moving = {"v": 1, "id": "mail", "table": "shop", "renaming_to": "post"}
    key, fields = MADE["pause"]("app", "post")
    ground.engine.state.transact([Write(MAPPING.key("app", "mail"), moving), Write(key, fields)])
    with pytest.raises(TailraceError, match="on its way to 'post'") as caught:
        ask(ground, "mapping.rename", handler="mail", to="letter")
    assert caught.value.hint == "tailrace mapping rename mail post"
    app = App("app")

    @app.on(app.table("shop", pk="id"), id="mail")
    def mail(change: Change) -> None: ...

    with pytest.raises(SettingsError, match="a renaming was cut off") as refused:
        asyncio.run(check_declared(ground.subject.state, app))
    assert refused.value.hint == "tailrace mapping rename mail post"
    assert forgotten(ground, other="books") == [], "nor does `tailrace dev` forget it"
    ask(ground, "mapping.rename", handler="mail", to="post")
    assert ground.engine.state.get(MAPPING.key("app", "post")) == {"v": 1, "id": "post", "table": "shop"}
    assert ground.engine.state.get(MAPPING.key("app", "mail")) is None


# ---- what dev forgets by itself ----------------------------------------------------------------------------


def test_a_handler_that_is_gone_with_nothing_pending_is_forgotten() -> None:
    ground = ground_with("pause", "window-told")
    assert forgotten(ground, other="books") == ["mail"]
    assert [key for key in rows(ground) if "mail" in key] == []


@pytest.mark.parametrize("kind", NOUNS)
def test_a_handler_that_is_gone_with_something_pending_is_not_forgotten(kind: str) -> None:
    ground = ground_with(kind)
    before = rows(ground)
    assert forgotten(ground) == []
    assert rows(ground) == before


def test_a_handler_that_is_gone_with_changes_waiting_is_not_forgotten() -> None:
    ground = ground_with()
    ground.put("o1")
    assert forgotten(ground) == []


def test_nothing_is_forgotten_when_a_new_handler_may_be_the_old_one_under_another_name() -> None:
    assert forgotten(ground_with(), post="shop") == []


def test_earlier_versions_of_a_projection_are_left_to_the_projector_and_forgotten_projections_to_people() -> (
    None
):
    ground = ground_with("projection", mapping="sales@v1")
    assert forgotten(ground, **{"sales@v2": "shop"}) == []
    assert forgotten(ground) == []
    assert MAPPING.key("app", "sales@v1") in rows(ground)
