"""The data directory: one owner, one format, nothing left behind by a killed owner."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tailrace.errors import StoreError
from tailrace.stores.directory import DataDirectory, is_owned, owner

ROOT = Path(__file__).parents[3]
HOLDING = """
import os, sys
from pathlib import Path
from tailrace.stores.directory import DataDirectory
directory = DataDirectory(Path(sys.argv[1]))
os.write(1, b"held")
sys.stdin.read()
"""


@contextmanager
def held_by_another_process(path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read(4) == b"held"
        yield process


def test_a_new_directory_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "data"
    with closing(DataDirectory(path)) as directory:
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert stat.S_IMODE((path / "lock").stat().st_mode) == 0o600
        assert (path / "format").read_text() == "1\n"
        assert directory.database == path / "tailrace.db"
        assert directory.socket == path / "control.sock"
        assert owner(path) == os.getpid()
        assert sorted(file.name for file in path.iterdir()) == ["format", "lock"]


def test_a_directory_that_others_can_read_is_told_and_its_files_are_not_theirs(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.mkdir()
    path.chmod(0o755)
    (path / "format").write_text("1\n")
    (path / "format").chmod(0o644)
    masked = os.umask(0)
    try:
        with closing(DataDirectory(path)) as directory:
            assert directory.exposure is not None
            assert str(path) in directory.exposure
            assert "0755" in directory.exposure
            assert {stat.S_IMODE(file.stat().st_mode) for file in path.iterdir()} == {0o600}
    finally:
        os.umask(masked)
    path.chmod(0o700)
    with closing(DataDirectory(path)) as directory:
        assert directory.exposure is None


def test_a_second_owner_is_told_who_has_it_and_what_to_do(tmp_path: Path) -> None:
    with held_by_another_process(tmp_path) as process:
        assert is_owned(tmp_path)
        with pytest.raises(StoreError) as caught:
            DataDirectory(tmp_path)
        assert f"in use by process {process.pid}" in str(caught.value)
        assert "tailrace status" in str(caught.value.hint)
        assert "--data" in str(caught.value.hint)
        assert owner(tmp_path) == process.pid
        process.communicate()
    assert not is_owned(tmp_path)


def test_a_second_owner_in_one_process_is_refused_too(tmp_path: Path) -> None:
    with closing(DataDirectory(tmp_path)), pytest.raises(StoreError, match=f"process {os.getpid()}"):
        DataDirectory(tmp_path)


def test_a_killed_owner_leaves_nothing_that_blocks(tmp_path: Path) -> None:
    with held_by_another_process(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not is_owned(tmp_path)
    with closing(DataDirectory(tmp_path)):
        assert owner(tmp_path) == os.getpid()


def test_closing_twice_is_allowed_and_a_refused_opening_gives_the_lock_back(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    directory.close()
    directory.close()
    (tmp_path / "format").write_text("2\n")
    for _ in range(2):
        with pytest.raises(StoreError, match="has format '2'"):
            DataDirectory(tmp_path)
    assert not is_owned(tmp_path)


@pytest.mark.parametrize("text", ["2", "", "one", "\xff\xfe"])
def test_another_format_is_refused_with_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / "format").write_text(text, encoding="latin-1")
    with pytest.raises(StoreError, match="reads format 1") as caught:
        DataDirectory(tmp_path)
    assert "version that wrote it" in str(caught.value.hint)


def test_a_start_that_was_killed_while_it_wrote_the_format_is_repeated(tmp_path: Path) -> None:
    (tmp_path / "format.new").write_text("")
    with closing(DataDirectory(tmp_path)):
        assert (tmp_path / "format").read_text() == "1\n"
        assert not (tmp_path / "format.new").exists()


def test_a_file_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be used") as caught:
        DataDirectory(tmp_path / "file")
    assert "--data" in str(caught.value.hint)


@pytest.mark.parametrize("text", ["", "nobody", "²", "-1"])
def test_a_lock_file_without_a_number_names_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "lock").write_text(text)
    assert owner(tmp_path) is None


def test_a_directory_that_does_not_exist_is_nobodys(tmp_path: Path) -> None:
    assert owner(tmp_path / "nowhere") is None
    assert not is_owned(tmp_path / "nowhere")
