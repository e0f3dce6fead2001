"""A worker over many idle shards keeps within AWS's limits and tells its idle delay; the counts that say so
are seen to fail.
"""

from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.shards.__main__ import simulated
from tests.shards.campaign import ShardsReport, most_in_a_second, run

SHARDS = 80
WELL = ShardsReport(200, 90.0, 50.0, 5, 10, 4_000, 4_000, 200, 2, 2, 1.0, 3.0)


def test_a_worker_over_eighty_idle_shards_is_small_rests_and_sees_what_comes(tmp_path: Path) -> None:
    report = run(tmp_path, SHARDS, rest_s=0.5)
    assert (report.told_shards, report.told_idle_delay_ms, report.handled) == (SHARDS, 1_600, 2)
    assert report.memory_mib < 250


def test_a_worker_over_simulated_shards_reads_all_and_sees_what_comes() -> None:
    report = simulated(60, 0.2)
    assert (report.told_shards, report.told_idle_delay_ms, report.handled) == (60, 1_200, 1)


@pytest.mark.parametrize(
    ("beyond", "words"),
    [
        ({"memory_mib": 500.6}, "501 MiB of 500"),
        ({"most_reads_of_a_shard": 6}, "6 reads of a shard"),
        ({"most_describes": 11}, "11 DescribeStream"),
        ({"rest_reads_per_s": 50.6}, "51 reads a second at rest"),
        ({"told_idle_delay_ms": 3_999}, "idle delay of 3999"),
        ({"told_shards": 199}, "199 shards"),
        ({"handled": 1}, "1 changes of 2"),
    ],
)
def test_what_is_beyond_a_limit_is_told(beyond: dict[str, float], words: str) -> None:
    assert WELL.violations() == []
    (violation,) = replace(WELL, **beyond).violations()
    assert words in violation


def test_a_second_begins_anywhere() -> None:
    assert most_in_a_second([0.9, 1.0, 1.1, 1.89]) == 4
    assert most_in_a_second([0.0, 1.0]) == 1
