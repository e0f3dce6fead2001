"""A few thousand mutated requests of every operation, and proof that a planted bug is found. The
long run is `make fuzz`.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from tailrace.server.inprocess import InProcess
from tests.fuzz import campaign
from tests.fuzz.campaign import BLOCK, Report, block_here
from tests.fuzz.model import operations
from tests.fuzz.resuming import here
from tests.fuzz.seeds import request_of
from tests.fuzz.served import ServedWorld, has_grown

SEED = 20
SERVICES = ("dynamodb", "dynamodbstreams", "kinesis", "lambda")
HERE = 4_000
SERVED = 400
HANG_S = 1.0


def run(count: int, plant: Any = None, hang_s: float | None = None) -> Report:
    report = Report(SEED)
    more: dict[str, Any] = {} if plant is None else {"plant": plant}
    if hang_s is not None:
        more["hang_s"] = hang_s
    for first in range(0, count, BLOCK):
        block_here(report, first, min(BLOCK, count - first), **more)
    return report


def test_no_mutated_request_is_a_fault_of_the_server() -> None:
    report = run(HERE)
    assert not report.findings, "\n".join(report.lines())
    assert report.sent == HERE
    assert sum(report.accepted.values()) > HERE / 20, "mutations that are all refused at the door try nothing"


def test_every_operation_is_among_the_requests() -> None:
    met = {
        request_of(SEED, number, {}, (service,)).operation.partition(".")[2]
        for service in SERVICES
        for number in range(2 * HERE)  # what is not emulated is drawn seldom
    }
    wanted = {name for service in SERVICES for name in operations(service)}
    assert wanted <= met


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ServedWorld]:
    """A server process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
        served = ServedWorld(tmp_path)
        yield served
        assert served.stop() == 0


def test_no_mutated_request_over_http_is_a_fault_of_the_process(world: ServedWorld) -> None:
    report = Report(SEED)
    world.send(report, 0, SERVED)
    assert not report.findings, "\n".join(report.lines())
    assert any(name.startswith("lambda.") for name in report.accepted | report.operations)
    assert world.memory() >= 0


def test_the_same_seed_and_number_make_the_same_request() -> None:
    one, other = (request_of(SEED, 7, {}, ("dynamodb",)) for _ in range(2))
    assert one == other
    assert one != request_of(SEED + 1, 7, {}, ("dynamodb",))


def quietly(report: Report, count: int) -> None:
    """No progress line."""


def test_a_campaign_that_was_cut_off_goes_on_and_comes_to_the_same_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = here(SEED, 0, 3 * 100, tmp_path / "whole", quietly, block=100)
    done: list[int] = []

    def cut(report: Report, first: int, count: int) -> None:
        done.append(first)
        if len(done) == 2:
            raise KeyboardInterrupt
        block_here(report, first, count)

    with monkeypatch.context() as patch:
        patch.setattr(campaign, "block_here", cut)
        with pytest.raises(KeyboardInterrupt):
            here(SEED, 0, 3 * 100, tmp_path / "cut", quietly, block=100)
    resumed = here(SEED, 0, 3 * 100, tmp_path / "cut", quietly, block=100)
    assert (resumed.sent, resumed.statuses, resumed.operations) == (
        whole.sent,
        whole.statuses,
        whole.operations,
    )
    assert not (tmp_path / "cut").exists()


# ---- canaries ----------------------------------------------------------------------------------------------


def planted(server: InProcess, name: str, **changes: Any) -> None:
    """Change how the server does an operation."""
    known = server._dispatcher._operations
    for target, one in list(known.items()):
        if one.name == name:
            known[target] = structs.replace(one, **changes)


def test_an_operation_that_does_not_check_its_members_is_found() -> None:
    report = run(2 * BLOCK, lambda server: planted(server, "UpdateTable", check=lambda payload: payload))
    assert any("UpdateTable answers 500: KeyError" in place for place in report.findings)
    assert all("UpdateTable" in place for place in report.findings)


def test_a_request_that_never_ends_is_found() -> None:
    def spin(engine: Any, payload: Any) -> Any:
        while "Dog" in json.dumps(payload):
            pass
        return {}

    report = run(BLOCK, lambda server: planted(server, "PutItem", check=dict, run=spin), HANG_S)
    assert any(place == "hang: DynamoDB_20120810.PutItem" for place in report.findings)


@pytest.mark.parametrize(
    ("before", "after", "grown"), [(100, 120, False), (100, 121, True), (100, 80, False), (0, 9, False)]
)
def test_memory_of_a_fifth_more_is_told(before: int, after: int, grown: bool) -> None:
    assert has_grown(before, after) is grown
