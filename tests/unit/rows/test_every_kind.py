"""A store with a row of every kind: a rename moves each of a mapping's whole and touches no other; and the
docs name every kind.
"""

import asyncio
import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from tailrace.errors import TailraceError
from tailrace.rows.kinds import KINDS, joined, kind_of, words_of
from tailrace.rows.owned import places, renamed
from tailrace.rows.writes import Write
from tailrace.server.control import find_verb
from tests.unit.rows.every_kind import MADE
from tests.unit.server.admin import Ground

OLD, OTHER, NEW = "oldname", "oldnam", "renamed"
FORMATS = Path(__file__).parents[3] / "docs" / "formats"
OF_MAPPINGS = [name for name, kind in KINDS.items() if kind.owner == "mapping"]


def store(*mappings: str) -> Ground:
    """An engine with a row of every kind for each of these mappings of the app `app`."""
    ground = Ground()
    writes = {
        key: fields
        for mapping in mappings
        for key, fields in (made("app", mapping) for made in MADE.values())
    }
    ground.engine.state.transact([Write(key, fields) for key, fields in writes.items()])
    return ground


def rows(ground: Ground) -> dict[str, Any]:
    return {row.key: dict(row.fields) for row in ground.engine.state.query("")}


def ask(ground: Ground, name: str, **arguments: object) -> Any:
    async def collect() -> list[Any]:
        return [value async for value in find_verb(name).run(ground.subject, arguments)]

    return asyncio.run(collect())[0]


def test_every_kind_has_a_row_here_and_every_row_a_kind() -> None:
    assert set(MADE) == set(KINDS)
    for name, made in MADE.items():
        key, fields = made("app", OLD)
        kind = kind_of(key)
        assert kind is not None
        assert kind.name == name
        assert fields is not None
        assert fields["v"] in range(1, kind.format + 1)


@pytest.mark.parametrize("name", OF_MAPPINGS)
def test_rename_moves_a_row_of_every_kind_whole(name: str) -> None:
    ground = store(OLD, OTHER)
    before = rows(ground)
    ask(ground, "mapping.rename", handler=OLD, to=NEW)
    after = rows(ground)
    key, fields = MADE[name]("app", NEW)
    old_key, _ = MADE[name]("app", OLD)
    moved = after[old_key if KINDS[name].by_field else key]
    assert moved == {**(fields or {}), **({"id": moved["id"]} if name == "redrive" else {})}
    assert KINDS[name].by_field or old_key not in after
    kept, _ = MADE[name]("app", OTHER)
    assert after[kept] == before[kept], "a mapping whose name begins alike was touched"


def test_after_a_rename_nothing_says_the_old_name_any_more() -> None:
    ground = store(OLD)
    count = len(rows(ground))
    ask(ground, "mapping.rename", handler=OLD, to=NEW)
    left = {
        key: fields
        for key, fields in rows(ground).items()
        if OLD in key or OLD.encode() in orjson.dumps(fields)
    }
    assert left == {}
    assert len(rows(ground)) == count


def test_a_rename_touches_no_row_of_the_app_or_the_directory() -> None:
    ground = store(OLD)
    others = {made("app", OLD)[0] for name, made in MADE.items() if KINDS[name].owner != "mapping"}
    before = rows(ground)
    ask(ground, "mapping.rename", handler=OLD, to=NEW)
    after = rows(ground)
    assert {key: after[key] for key in others} == {key: before[key] for key in others}


@pytest.mark.parametrize("name", OF_MAPPINGS)
def test_a_name_that_has_a_row_of_any_kind_is_taken(name: str) -> None:
    ground = store(OLD)
    key, fields = MADE[name]("app", NEW)
    ground.engine.state.transact([Write(key, fields)])
    with pytest.raises(TailraceError, match="already"):
        ask(ground, "mapping.rename", handler=OLD, to=NEW)


def test_a_name_with_slashes_moves_too_and_no_other_with_it() -> None:
    ground = store("a/b", "a")
    ask(ground, "mapping.rename", handler="a/b", to="c%d")
    assert rows(ground)[MADE["checkpoint"]("app", "c%d")[0]]
    letter = rows(ground)[MADE["deadletter"]("app", "c%d")[0]]
    assert (letter["handler"], letter["trace"]) == ("c%d", "c%d/e1")
    assert MADE["checkpoint"]("app", "a")[0] in rows(ground)


def test_every_kind_is_described_in_the_docs() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(FORMATS.glob("*.md")))
    described = set(re.findall(r"^(?:## |\| )`([a-z-]+)(?:/[^`]*)?`", text, re.MULTILINE))
    assert set(KINDS) <= described, "docs/formats has no section or line of these kinds"


def test_words_come_out_of_a_key_as_they_went_in() -> None:
    for words in (["a", "b"], ["a/b", "%2F", "%"], ["%25", "", "ü/"]):
        assert words_of(joined(*words)) == words


def test_a_row_of_another_mapping_in_the_same_place_is_not_taken() -> None:
    (place,) = places("app", OLD, [KINDS["redrive"]])
    assert place.takes({"handler": OLD})
    assert not place.takes({"handler": OTHER})
    key, fields = renamed(KINDS["redrive"], "app", OLD, NEW, "redrive/app/1", {"handler": OLD, "id": OLD})
    assert (key, fields) == ("redrive/app/1", {"handler": NEW, "id": OLD})
