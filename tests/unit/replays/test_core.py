"""Chance, lines, environments and runs of replays."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import SettingsError, StoreError
from tailrace.replays.core.chance import Chance, seed_of
from tailrace.replays.core.effects import (
    ReplayCounts,
    ReplayedChange,
    ReplayEffect,
    ReplayEnd,
    line_of,
    read_lines,
)
from tailrace.replays.core.environment import differing_environments, says_what_is_installed
from tailrace.replays.core.runs import (
    Reached,
    ReplayQuestion,
    ReplayRun,
    begun,
    finished,
    read_run,
    saved,
    taken_up,
    unfinished,
)
from tailrace.replays.run.revisions import check_loaded
from tailrace.rows.writes import Absent, Equals, holds
from tailrace.streams.version import NOTHING, Version

# ---- chance ------------------------------------------------------------------------------------------------


@given(st.binary(max_size=8), st.lists(st.integers(0, 70), max_size=6))
def test_chance_is_the_same_however_it_is_taken(seed: bytes, sizes: list[int]) -> None:
    one, other = Chance(seed), Chance(seed)
    assert b"".join(one.take(size) for size in sizes) == other.take(sum(sizes))


def test_every_part_of_a_change_changes_its_chance() -> None:
    seeds = [
        seed_of("orders", b"k", Version(1, 5)),
        seed_of("order", b"sk", Version(1, 5)),
        seed_of("orders", b"l", Version(1, 5)),
        seed_of("orders", b"k", Version(1, 6)),
        seed_of("orders", b"k", Version(2, 5)),
    ]
    assert len(set(seeds)) == len(seeds)
    assert seed_of("orders", b"k", Version(1, 5)) == seeds[0]
    assert len({Chance(seed).take(16) for seed in seeds}) == len(seeds)


# ---- lines -------------------------------------------------------------------------------------------------


def test_what_is_kept_of_a_dry_run_is_read_again() -> None:
    change = ReplayedChange(
        3,
        Version(1, 5).text,
        '{"id":{"S":"o1"}}',
        "INSERT",
        7,
        (ReplayEffect("output", "Queue", "", "1"),),
        "x:1",
    )
    end = ReplayEnd(ReplayCounts(4, 3, 1, 1), ("a gap",))
    assert list(read_lines([line_of(change), line_of(end)])) == [change, end]
    with pytest.raises(msgspec.MsgspecError):
        list(read_lines([line_of(change)[:20]]))


# ---- environments ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "folder", "expected"),
    [
        ("pyproject.toml", "", True),
        ("pyproject.toml", "services/mail", True),
        ("services/mail/requirements-dev.txt", "services/mail", True),
        ("services/mail/requirements-dev.txt", "services", False),
        ("services/web/requirements.txt", "services/mail", False),
        ("requirements/base.txt", "services/mail", True),
        ("services/mail/requirements/base.in", "services/mail", True),
        ("requirements/README.md", "", False),
        ("poetry.lock", "", True),
        ("src/app.py", "src", False),
        ("notes.txt", "", False),
    ],
)
def test_files_that_say_what_is_installed(path: str, folder: str, expected: bool) -> None:
    assert says_what_is_installed(path, folder) is expected


PROJECT = '[project]\nname = "a"\nversion = "1"\ndependencies = ["boto3"]\n[tool.ruff]\nline-length = 80\n'


@pytest.mark.parametrize(
    ("path", "before", "now", "differs"),
    [
        ("uv.lock", "a", "a", False),
        ("uv.lock", "a", "b", True),
        ("uv.lock", None, "b", True),
        ("requirements.txt", "# one\nboto3\n", "boto3   \n\n# other\n", False),
        ("requirements.txt", "boto3\n", "boto3==1\n", True),
        ("pyproject.toml", PROJECT, PROJECT.replace("80", "110").replace('"1"', '"2"'), False),
        ("pyproject.toml", PROJECT, PROJECT.replace('"boto3"', '"boto3>=2"'), True),
        ("pyproject.toml", PROJECT, PROJECT + '[dependency-groups]\ndev = ["pytest"]\n', True),
        ("pyproject.toml", PROJECT, PROJECT + '[tool.poetry.dependencies]\nx = "1"\n', True),
        ("pyproject.toml", None, "[tool.ruff]\n", False),
        ("pyproject.toml", None, PROJECT, True),
        ("pyproject.toml", PROJECT, "no toml", True),
    ],
)  # fmt: skip
def test_an_environment_differs_where_other_packages_are_asked_for(
    path: str, before: str | None, now: str | None, differs: bool
) -> None:
    texts = [{} if text is None else {path: text} for text in (before, now)]
    assert differing_environments(*texts) == ([path] if differs else [])


# ---- runs --------------------------------------------------------------------------------------------------

RUN = ReplayRun("replay-1", "mail", "question", 5, 9, 100, total=10)


def test_a_run_is_read_from_its_row() -> None:
    run = RUN.moved(Reached(Version(1, 7), "shard-1"), 3, 2, 200)
    assert read_run(run.fields()) == run
    assert (run.done, run.called, run.saved_ms) == (3, 2, 200)
    with pytest.raises(StoreError):
        read_run({**run.fields(), "v": 99})


def test_a_change_is_handled_once_in_the_order_of_a_run() -> None:
    reached = Reached(Version(1, 7), "b")
    assert not reached.is_before(Version(1, 6), "z")
    assert not reached.is_before(Version(1, 7), "a")
    assert not reached.is_before(Version(1, 7), "b")
    assert reached.is_before(Version(1, 7), "c")
    assert reached.is_before(Version(2, 1), "a")
    assert Reached().is_before(Version(1, 1), "")
    assert Reached().version == NOTHING


def test_of_two_processes_that_take_a_run_up_one_saves() -> None:
    row: Any = begun("shop", RUN)
    assert row.condition == Absent()
    first, write = taken_up("shop", RUN)
    assert holds(write.condition, row.fields)
    second, write_of_second = taken_up("shop", first)
    assert holds(write_of_second.condition, write.fields)
    assert not holds(saved("shop", first).condition, write_of_second.fields)
    assert holds(saved("shop", second).condition, write_of_second.fields)
    assert not holds(finished("shop", first).condition, write_of_second.fields)
    assert saved("shop", first).condition == Equals("taken", 2)


@pytest.mark.parametrize(
    "other",
    [
        ReplayQuestion("other", 5, 9, (b"a",), "x"),
        ReplayQuestion("mail", 4, 9, (b"a",), "x"),
        ReplayQuestion("mail", 5, None, (b"a",), "x"),
        ReplayQuestion("mail", 5, 9, (b"b",), "x"),
        ReplayQuestion("mail", 5, 9, (), "x"),
        ReplayQuestion("mail", 5, 9, (b"a",), ""),
    ],
)
def test_another_question_is_another_run(other: ReplayQuestion) -> None:
    asked = ReplayQuestion("mail", 5, 9, (b"a",), "x")
    assert other.name != asked.name
    run = ReplayRun("replay-1", "mail", asked.name, 5, 9, 100)
    assert unfinished([run], asked) == run
    assert unfinished([run], other) is None


def test_of_several_unfinished_runs_the_newest_goes_on() -> None:
    asked = ReplayQuestion("mail", 5, keys=(b"a", b"b"))
    runs = [ReplayRun(f"replay-{number}", "mail", asked.name, 5, 9, number) for number in (1, 3, 2)]
    turned = ReplayQuestion("mail", 5, keys=(b"b", b"a"))
    assert unfinished(runs, turned) == runs[1]


def test_the_rest_is_estimated_by_what_this_process_did() -> None:
    run = RUN.moved(Reached(Version(1, 7), "s"), 6, 6, 0)
    assert run.left_ms(0, 6_000) == 4_000
    assert run.left_ms(5, 1_000) == 4_000
    assert run.left_ms(6, 1_000) is None


# ---- code of a revision ------------------------------------------------------------------------------------


def test_code_that_was_loaded_from_elsewhere_is_refused(tmp_path: Path) -> None:
    checkout, elsewhere = tmp_path / "checkout", tmp_path / "elsewhere"
    check_loaded([checkout / "app.py", None, checkout / "src" / "mail.py"], checkout)
    for file in (elsewhere / "app.py", checkout / ".." / "app.py"):
        with pytest.raises(SettingsError, match="was loaded from"):
            check_loaded([checkout / "app.py", file], checkout)
