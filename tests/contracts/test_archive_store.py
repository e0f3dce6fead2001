"""Every archive keeps the contract of ArchiveStore, and the check catches one that does not.

Rules of this file: one canary a rule, and one for each way in which two writers can hurt each other.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from moto.s3.responses import S3Response

from tailrace.archives import DirectoryArchive, MemoryArchive, S3Archive
from tailrace.archives.names import tag_of
from tailrace.aws.places import KNOWN
from tailrace.ports import ArchiveStore, Blob
from tailrace.testing import check_archive_store
from tailrace.testing.contracts import archive
from tests.contracts.breaking import breaks
from tests.unit.sinks.moto_server import client, moto


def test_the_archive_in_memory_keeps_the_contract() -> None:
    check_archive_store(MemoryArchive)


def test_an_archive_in_a_directory_keeps_the_contract(tmp_path: Path) -> None:
    numbers = iter(range(100))
    places: dict[int, Path] = {}

    def make() -> ArchiveStore:
        place = tmp_path / "new" / str(next(numbers))
        made = DirectoryArchive(place)
        places[id(made)] = place
        return made

    check_archive_store(make)
    check_archive_store(make, again=lambda store: DirectoryArchive(places[id(store)]))


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    KNOWN.forget(None)
    yield
    KNOWN.forget(None)


@pytest.mark.parametrize("prefix", ["", "tailrace/archive"])
def test_an_archive_in_s3_keeps_the_contract(
    prefix: str, account: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = iter(range(100))
    places: dict[int, str] = {}
    with one_put_at_a_time(monkeypatch), moto() as access:

        def make() -> ArchiveStore:
            bucket = f"archive-{next(numbers)}"
            client("s3", access).create_bucket(Bucket=bucket)
            client("s3", access).put_object(
                Bucket=bucket, Key="tailrace/other", Body=b"another's"
            ) if prefix else None
            made = S3Archive(bucket, prefix, access=access)
            places[id(made)] = bucket
            return made

        check_archive_store(make, again=lambda store: S3Archive(places[id(store)], prefix, access=access))


@contextmanager
def one_put_at_a_time(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """moto's server looks and writes in two steps, in threads; S3 does both in one."""
    lock = threading.Lock()
    put = S3Response.put_object

    def alone(self: S3Response) -> Any:
        with lock:
            return put(self)

    with patch.context() as patched:
        patched.setattr(S3Response, "put_object", alone)
        yield


# ---- canaries ----------------------------------------------------------------------------------------------


class CutsAtAZero(MemoryArchive):
    async def put_if_absent(self, name: str, data: bytes) -> str | None:
        return await super().put_if_absent(name, data.rstrip(b"\xff"))


class CountsFromOne(MemoryArchive):
    async def get(self, name: str, start: int = 0, length: int | None = None) -> Blob | None:
        return await super().get(name, max(0, start - 1), length)


class ListsByFolder(MemoryArchive):
    async def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> Sequence[str]:
        return sorted(await super().list(prefix, after=after), key=lambda name: name.split("/"))[:limit]


class ListsWhatIsBelow(MemoryArchive):
    async def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> Sequence[str]:
        names = await super().list("", after=after)
        return (
            [name for name in names if f"{name}/".startswith(prefix.rstrip("/") + "/")][:limit]
            if prefix
            else names[:limit]
        )


class BeginsPagesAtTheirName(MemoryArchive):
    async def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> Sequence[str]:
        return [name for name in await super().list(prefix) if name >= after][:limit]


class PutsOver(MemoryArchive):
    async def put_if_absent(self, name: str, data: bytes) -> str | None:
        await self.delete(name)
        return await super().put_if_absent(name, data)


class TakesTheSameBytesAgain(MemoryArchive):
    async def put_if_absent(self, name: str, data: bytes) -> str | None:
        held = await self.get(name)
        return held.tag if held is not None and held.data == data else await super().put_if_absent(name, data)


class ForgetsToCompare(MemoryArchive):
    async def compare_and_put(self, name: str, data: bytes, tag: str) -> str | None:
        held = await self.get(name)
        return await super().compare_and_put(name, data, (held and held.tag) or tag)


class MakesWhatItShouldReplace(MemoryArchive):
    async def compare_and_put(self, name: str, data: bytes, tag: str) -> str | None:
        return await super().compare_and_put(name, data, tag) or await self.put_if_absent(name, data)


class DeletesBelow(MemoryArchive):
    async def delete(self, name: str) -> None:
        for key in await self.list(name):
            await super().delete(key)


class RefusesToDeleteTwice(MemoryArchive):
    async def delete(self, name: str) -> None:
        if await self.get(name) is None:
            raise KeyError(name)
        await super().delete(name)


class LooksThenWrites(MemoryArchive):
    """What `if not exists: write` does between two processes."""

    async def put_if_absent(self, name: str, data: bytes) -> str | None:
        if await self.get(name) is not None:
            return None
        await asyncio.sleep(0)
        self._blobs[name] = data
        return tag_of(data)


class ComparesThenWrites(MemoryArchive):
    async def compare_and_put(self, name: str, data: bytes, tag: str) -> str | None:
        held = await self.get(name)
        if held is None or held.tag != tag:
            return None
        await asyncio.sleep(0)
        self._blobs[name] = data
        return tag_of(data)


class WritesInPlace(MemoryArchive):
    async def compare_and_put(self, name: str, data: bytes, tag: str) -> str | None:
        if len(data) > 600_000:
            self._blobs[name] = data[:1_000]
            await asyncio.sleep(0)
            tag = tag_of(data[:1_000])
        return await super().compare_and_put(name, data, tag)


class TakesAnyName(MemoryArchive):
    async def put_if_absent(self, name: str, data: bytes) -> str | None:
        if name == "../a":
            return "a tag"
        return await super().put_if_absent(name, data)


@pytest.mark.parametrize(
    ("rule", "make"),
    [
        (archive.blobs_come_back_as_they_were, CutsAtAZero),
        (archive.parts_are_parts, CountsFromOne),
        (archive.lists_follow_the_text, ListsByFolder),
        (archive.lists_follow_the_text, ListsWhatIsBelow),
        (archive.lists_follow_the_text, BeginsPagesAtTheirName),
        (archive.the_first_put_stays, PutsOver),
        (archive.the_first_put_stays, TakesTheSameBytesAgain),
        (archive.puts_compare, ForgetsToCompare),
        (archive.puts_compare, MakesWhatItShouldReplace),
        (archive.deleted_is_gone, DeletesBelow),
        (archive.deleted_is_gone, RefusesToDeleteTwice),
        (archive.one_of_many_writers_wins, LooksThenWrites),
        (archive.one_of_many_writers_wins, ComparesThenWrites),
        (archive.no_reader_sees_half_a_blob, WritesInPlace),
        (archive.names_are_checked, TakesAnyName),
    ],
)
def test_the_check_catches_an_archive_that_breaks_a_rule(
    rule: Callable[..., object], make: Callable[[], ArchiveStore]
) -> None:
    breaks(rule, lambda: check_archive_store(make))


def test_every_rule_has_a_canary() -> None:
    marks: Iterator[pytest.Mark] = iter(test_the_check_catches_an_archive_that_breaks_a_rule.pytestmark)  # type: ignore[attr-defined]
    caught = {rule for rule, _ in next(marks).args[1]}
    assert caught == set(archive.RULES)


def test_the_check_catches_two_writers_that_do_not_see_each_other() -> None:
    breaks(
        archive.one_of_many_writers_wins,
        lambda: check_archive_store(MemoryArchive, again=lambda store: MemoryArchive()),
    )
