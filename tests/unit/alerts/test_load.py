"""Whether settings fit the load: what is told, at its bound and one past, and only once."""

from typing import Any

import pytest
from msgspec.structs import replace

from tailrace.alerts.core.load import LEAST_LAG_MS, LOOKS, LoadHistory, LoadLook, LoadWarning

WELL = LoadLook(0, shards=2, width=4, at_handler=3, waiting_shards=1, lag_ms=100)
STEP_MS = 15_000


def told(*looks: LoadLook) -> list[LoadWarning]:
    history = LoadHistory()
    return [warning for look in looks for warning in history.look(look)]


def series(count: int = LOOKS, **rises: Any) -> list[LoadLook]:
    """Looks in which fields rise by so much at each."""
    return [
        replace(
            WELL, at_ms=place * STEP_MS, **{name: at + place * rise for name, (at, rise) in rises.items()}
        )
        for place in range(count)
    ]


def kinds(looks: list[LoadLook]) -> list[str]:
    return [warning.kind for warning in told(*looks)]


def test_a_handler_that_is_well_is_not_spoken_of() -> None:
    assert told(*series(40, handled=(0, 100))) == []


@pytest.mark.parametrize(("shards", "is_told"), [(8, False), (9, True)])
def test_more_batches_than_threads_are_told_at_once(shards: int, is_told: bool) -> None:
    looks = [replace(WELL, shards=shards, threads=32), replace(WELL, shards=shards, threads=32, at_ms=1)]
    warnings = told(*looks)
    assert [warning.kind for warning in warnings] == (["threads"] if is_told else [])
    if is_told:
        assert "36 batches at once (4 in each of 9 shards)" in warnings[0].words


def test_a_coroutine_needs_no_thread_and_one_batch_a_shard_is_no_setting() -> None:
    assert told(replace(WELL, shards=100)) == []
    assert told(replace(WELL, shards=100, width=1, threads=32)) == []


def test_a_third_reader_is_told_by_its_shard() -> None:
    (warning,) = told(replace(WELL, crowded=("shardId-7",)), replace(WELL, crowded=("shardId-7",)))
    assert warning.words.startswith("shard shardId-7 has more than 2 readers")


def test_concurrency_that_changes_wait_beside_is_told() -> None:
    waiting = {"lag_ms": (LEAST_LAG_MS, 0), "at_handler": (2, 0), "waiting_shards": (1, 0)}
    (warning,) = told(*series(**waiting))
    assert warning.kind == "unused"
    assert "may have 8 batches at once and had 2 at most in 2m 15s" in warning.words
    assert kinds(series(LOOKS - 1, **waiting)) == []
    assert kinds(series(**{**waiting, "at_handler": (3, 0)})) == []
    assert kinds(series(**{**waiting, "lag_ms": (LEAST_LAG_MS - 1, 0)})) == []
    assert kinds(series(**{**waiting, "waiting_shards": (0, 0)})) == []


def test_a_lag_that_grows_is_told_with_its_numbers() -> None:
    # In 15 s the lag grows by 3 s: a fifth of the time, and 1,200 changes are handled.
    (warning,) = told(*series(lag_ms=(60_000, 3_000), handled=(0, 1_200), at_handler=(8, 0)))
    assert warning.kind == "falling behind"
    for words in ("waited for 1m, 2m 15s later for 1m 27s", "about 100.0 changes a second come",
                  "80.0 are handled", "with 8.0 of 8 batches at once", "trimmed in 4d 23h"):  # fmt: skip
        assert words in warning.words


def test_a_lag_at_its_bounds_is_not_told() -> None:
    grows = {"handled": (0, 100), "at_handler": (8, 0)}
    assert kinds(series(lag_ms=(60_000, 750), **grows)) == ["falling behind"]  # a twentieth
    assert kinds(series(lag_ms=(60_000, 749), **grows)) == []
    assert kinds(series(lag_ms=(LEAST_LAG_MS - 1 - 9 * 750, 750), **grows)) == []
    assert kinds(series(lag_ms=(LEAST_LAG_MS - 9 * 750, 750), **grows)) == ["falling behind"]
    once_less = [*series(lag_ms=(60_000, 3_000), **grows)]
    once_less[5] = replace(once_less[5], lag_ms=60_000)
    assert kinds(once_less) == []


def test_reads_that_are_throttled_again_and_again_are_told() -> None:
    assert kinds(series(throttled=(7, 1))) == ["throttled"]
    assert kinds(series(throttled=(7, 0))) == []
    assert kinds([replace(look, throttled=int(look.at_ms >= STEP_MS)) for look in series()]) == []


def test_what_is_held_says_nothing_of_its_settings() -> None:
    grows = series(lag_ms=(60_000, 3_000), handled=(0, 100), at_handler=(8, 0))
    assert kinds([replace(look, is_held=True) for look in grows]) == []
    assert kinds([*grows[:5], replace(grows[5], is_held=True), *grows[6:]]) == []


def test_what_is_over_and_comes_back_is_told_again() -> None:
    crowded, alone = replace(WELL, crowded=("s",)), WELL
    assert len(told(crowded, crowded, alone, crowded)) == 2


def test_another_workers_shards_begin_a_new_history() -> None:
    looks = series(lag_ms=(60_000, 3_000), handled=(1_000, 100), at_handler=(8, 0))
    assert kinds([*looks[:5], replace(looks[5], handled=0), *looks[6:]]) == []
