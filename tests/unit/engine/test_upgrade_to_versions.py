"""A data directory of before versions is rewritten when it is opened, once, whatever cuts it off."""

from pathlib import Path
from typing import Any

import pytest

from tailrace.compose import EngineOptions, OpenEngine, open_engine
from tailrace.engine import upgrade_to_versions
from tailrace.engine.engine import Engine
from tailrace.engine.state import StateRows
from tailrace.rows.kinds import LAYOUT
from tailrace.rows.writes import Write
from tailrace.streams.version import Version

FIRST, COUNT = 1_867_531_234_567_890_123, 25
OLD = [f"deadletter/shop/mail/{FIRST + number}" for number in range(COUNT)]
NEW = [f"deadletter/shop/mail/{Version(1, FIRST + number).text}" for number in range(COUNT)]


def opened(directory: Path) -> OpenEngine:
    return open_engine(EngineOptions(directory=directory))


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One of before versions."""
    monkeypatch.setattr(upgrade_to_versions, "SLICE", 4)
    engine = opened(tmp_path)
    engine.state.transact([Write(key, {"v": 2, "key": key}) for key in OLD])
    engine.close()
    return tmp_path


def letters(engine: Engine) -> dict[str, Any]:
    return {row.key: row.fields["key"] for row in engine.state.query("deadletter/")}


def test_every_row_comes_under_its_version_with_all_that_is_in_it(directory: Path) -> None:
    engine = opened(directory)
    assert letters(engine) == dict(zip(NEW, OLD, strict=True))
    assert engine.state.get(LAYOUT.key()) == {"v": 1}
    engine.close()


@pytest.mark.parametrize("slices", range(8))
def test_a_start_that_is_cut_off_leaves_each_row_once_and_the_next_one_goes_on(
    directory: Path, monkeypatch: pytest.MonkeyPatch, slices: int
) -> None:
    put, left = StateRows.put, [slices]

    def cut_off(state: StateRows, writes: Any) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        put(state, writes)

    with monkeypatch.context() as patch:
        patch.setattr(StateRows, "put", cut_off)
        if slices < 8:
            with pytest.raises(KeyboardInterrupt):
                opened(directory)
    with monkeypatch.context() as patch:
        patch.setattr(upgrade_to_versions, "VERSIONED", ())
        engine = opened(directory)  # a look at what the crash left, old keys and new ones
        left_behind = letters(engine)
        assert sorted(left_behind.values()) == OLD
        assert (set(left_behind) & set(NEW)) == set(NEW[: 4 * slices])
        engine.close()
    engine = opened(directory)
    assert letters(engine) == dict(zip(NEW, OLD, strict=True))
    engine.close()


def test_a_directory_that_has_none_is_left_as_it_is(tmp_path: Path) -> None:
    engine = opened(tmp_path)
    assert engine.state.get(LAYOUT.key()) is None
    engine.close()


def test_a_directory_is_looked_through_once(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(directory).close()

    def again(*_: object) -> None:
        raise AssertionError("it was looked through again")

    monkeypatch.setattr(upgrade_to_versions, "rekeyed", again)
    opened(directory).close()
