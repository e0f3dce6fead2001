"""Nodes are found by their port, by their own user alone."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tailrace.errors import StoreError
from tailrace.server import nodes
from tailrace.server.control_socket import listen, place_socket


@pytest.fixture(autouse=True)
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Records of this test alone."""
    monkeypatch.setattr(nodes, "candidates", lambda: iter([tmp_path / "run"]))
    return tmp_path / "run"


def made(directory: Path) -> Path:
    directory.mkdir(mode=0o700)
    return directory


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A directory on whose socket a process listens."""
    directory = made(tmp_path / "data")
    with closing(listening(directory)):
        yield directory


def listening(directory: Path) -> object:
    listener = listen(place_socket(directory))
    listener.listen()
    return listener


def test_a_node_is_found_by_its_port_until_it_ends(data: Path) -> None:
    nodes.record(8000, data)
    assert nodes.directory_of(8000) == data.resolve()
    assert nodes.directory_of(8001) is None
    assert nodes.running() == [8000]
    nodes.forget(8000, data)
    assert nodes.directory_of(8000) is None


def test_only_this_user_may_open_the_records(data: Path, records: Path) -> None:
    nodes.record(8000, data)
    assert records.stat().st_mode & 0o777 == 0o700
    assert (records / "8000.json").stat().st_mode & 0o777 == 0o600


def test_records_that_another_user_could_have_written_are_not_believed(data: Path, records: Path) -> None:
    nodes.record(8000, data)
    records.chmod(0o770)
    assert nodes.directory_of(8000) is None
    with pytest.raises(StoreError, match="private"):
        nodes.record(8000, data)


def test_a_directory_behind_a_link_is_not_believed(data: Path, records: Path, tmp_path: Path) -> None:
    records.symlink_to(made(tmp_path / "elsewhere"))
    with pytest.raises(StoreError, match="private"):
        nodes.record(8000, data)


def test_what_a_killed_node_left_is_not_found_and_goes_with_the_next_start(data: Path, records: Path) -> None:
    memory = nodes.place_in_memory(8001)
    listener = listening(memory)
    nodes.record(8001, memory)
    assert nodes.directory_of(8001) == memory.resolve()
    listener.close()  # type: ignore[attr-defined]
    assert nodes.directory_of(8001) is None
    nodes.record(8000, data)
    assert sorted(path.name for path in records.iterdir()) == ["8000.json"]


def test_a_node_that_runs_keeps_its_port_when_another_serves_it_on_another_address(data: Path) -> None:
    memory = nodes.place_in_memory(8000)
    with closing(listening(memory)):  # type: ignore[type-var]
        nodes.record(8000, memory)
        with pytest.raises(StoreError, match="port 8000 on another address"):
            nodes.record(8000, data)
        with pytest.raises(StoreError, match="port 8000 on another address"):
            nodes.place_in_memory(8000)
        assert nodes.directory_of(8000) == memory.resolve()


def test_the_end_of_a_node_forgets_no_other(data: Path) -> None:
    nodes.record(8000, data)
    nodes.forget(8000, data.parent / "other")
    assert nodes.directory_of(8000) == data.resolve()


def test_damaged_records_are_passed_over(data: Path, records: Path) -> None:
    nodes.record(8000, data)
    (records / "x.json").write_text("{}")
    (records / "8001.json").write_text("no JSON")
    (records / "8002.json").write_text('{"v": 99, "directory": "/"}')
    assert nodes.running() == [8000]


def test_records_are_looked_for_wherever_the_node_may_have_been_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert next(nodes.candidates()) == tmp_path / f"tailrace-{os.getuid()}"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert [path.name for path in nodes.candidates()][-1] == f"tailrace-{os.getuid()}"
