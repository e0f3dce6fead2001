"""An archive in a directory: what a killed writer leaves, and what two processes do to each other.

Rules of this file: a process is ended at every call to the kernel that a write makes, one after the other.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from tailrace.archives import DirectoryArchive
from tailrace.archives.directory import PARTS
from tailrace.archives.names import tag_of
from tailrace.errors import ArchiveError

OLD, NEW = b"old" * 1_000, b"new" * 1_000
CALLS: Final = ("open", "write", "fsync", "replace", "unlink", "mkdir", "close")
MOST_CALLS: Final = 60


def ended_at(number: int, act: Callable[[], Any]) -> bool:
    """Carry it out in a process of its own that ends before its call `number` to the kernel. Returns: whether
    it came so far.
    """
    child = os.fork()
    if child == 0:
        made = 0

        def counted(call: Callable[..., Any]) -> Callable[..., Any]:
            def instead(*arguments: Any, **named: Any) -> Any:
                nonlocal made
                made += 1
                if made == number:
                    os._exit(9)
                return call(*arguments, **named)

            return instead

        try:
            for name in CALLS:
                setattr(os, name, counted(getattr(os, name)))
            act()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 9


@pytest.mark.parametrize("kind", ["put", "replace", "delete"])
def test_a_writer_that_ends_anywhere_leaves_the_old_blob_or_the_new_one(kind: str, tmp_path: Path) -> None:
    for number in range(1, MOST_CALLS):
        place = tmp_path / f"{kind} {number}"
        if kind != "put":
            DirectoryArchive(place)._put("a/b/c", OLD, None)

        def act(place: Path = place) -> None:
            archive = DirectoryArchive(place)
            match kind:
                case "put":
                    archive._put("a/b/c", NEW, None)
                case "replace":
                    archive._put("a/b/c", NEW, tag_of(OLD))
                case "delete":
                    archive._delete("a/b/c")

        has_ended = ended_at(number, act)
        after = DirectoryArchive(place)
        blob = after._get("a/b/c", 0, None)
        before, then = {"put": (None, NEW), "replace": (OLD, NEW), "delete": (OLD, None)}[kind]
        assert (blob and blob.data) in (before, then)
        if not has_ended:
            assert (blob and blob.data) == then
            break
        assert after._put("next", b"x", None) is not None
        assert list((place / PARTS).iterdir()) == []
    else:
        raise AssertionError(f"a {kind} makes {MOST_CALLS} calls and more: none of the later ones was tried")
    assert number > {"put": 12, "replace": 12, "delete": 4}[kind]


def test_the_part_of_a_writer_that_lives_stays(tmp_path: Path) -> None:
    writer = DirectoryArchive(tmp_path)
    with writer._part() as (part, _):
        assert DirectoryArchive(tmp_path)._put("a", b"x", None) is not None
        assert part.exists()
    assert not part.exists()


def test_processes_that_count_in_one_blob_lose_no_step(tmp_path: Path) -> None:
    def count() -> None:  # threads of the parent are none of the child's: no coroutine of the archive here
        archive = DirectoryArchive(tmp_path)
        done = 0
        while done < 25:
            held = archive._get("count", 0, None)
            data = b"1" if held is None else b"%d" % (int(held.data) + 1)
            done += archive._put("count", data, held and held.tag) is not None

    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                count()
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    blob = DirectoryArchive(tmp_path)._get("count", 0, None)
    assert blob is not None
    assert blob.data == b"75"


def test_what_the_file_system_refuses_is_an_error_of_the_archive(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    below = DirectoryArchive(tmp_path / "file")
    with pytest.raises(ArchiveError, match="Not a directory"):
        asyncio.run(below.put_if_absent("a", b"x"))
    archive = DirectoryArchive(tmp_path)
    asyncio.run(archive.put_if_absent("a/b", b"x"))
    with pytest.raises(ArchiveError, match="Is a directory"):
        asyncio.run(archive.put_if_absent("a", b"x"))


def test_files_that_are_no_blobs_are_in_no_list(tmp_path: Path) -> None:
    archive = DirectoryArchive(tmp_path)
    asyncio.run(archive.put_if_absent("a/b", b"x"))
    for foreign in (".DS_Store", "b~", "copy of b"):
        (tmp_path / "a" / foreign).write_bytes(b"")
    assert list(asyncio.run(archive.list(""))) == ["a/b"]


def test_a_writer_that_is_done_removes_no_part_of_the_next_one(tmp_path: Path) -> None:
    first, second = DirectoryArchive(tmp_path), DirectoryArchive(tmp_path)
    with ExitStack() as later:
        with first._part() as (part, _):
            part.replace(tmp_path / "a")
            other, _ = later.enter_context(second._part())
        assert other.exists()
