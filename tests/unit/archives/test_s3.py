"""An archive in S3, beyond what the contract says: answers that a server gives rarely.

Rules of this file: the server says what a test scripts, byte by byte.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from tailrace.archives import S3Archive, s3
from tailrace.aws import buckets
from tailrace.aws.places import KNOWN
from tailrace.errors import ArchiveError
from tests.unit.aws.scripted import Scripted, access, answer, scripted


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    KNOWN.forget(None)
    with scripted() as said:
        yield said
    KNOWN.forget(None)


def done(script: Scripted, act: Callable[[S3Archive], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        return await act(S3Archive("b", access=access(script)))

    return asyncio.run(run())


def part(data: bytes, first: int, size: int, tag: str) -> bytes:
    ranges = {"Content_Range": f"bytes {first}-{first + len(data) - 1}/{size}"}
    return answer(206, data, ETag=f'"{tag}"', **ranges)


def error(status: int, code: str) -> bytes:
    return answer(status, f"<Error><Code>{code}</Code><Message>{code} it is</Message></Error>".encode())


def test_a_blob_larger_than_one_range_is_read_in_ranges_of_one_content(
    script: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "RANGE", 4)
    script.said.extend([part(b"abcd", 0, 10, "t"), part(b"efgh", 4, 10, "t"), part(b"ij", 8, 10, "t")])
    blob = done(script, lambda archive: archive.get("a"))
    assert (blob.data, blob.size, blob.tag) == (b"abcdefghij", 10, '"t"')
    assert [asked.headers["range"] for asked in script.asked] == ["bytes=0-3", "bytes=4-7", "bytes=8-11"]
    assert [asked.headers.get("if-match") for asked in script.asked] == [None, '"t"', '"t"']


def test_a_blob_that_is_replaced_while_it_is_read_is_read_anew(
    script: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "RANGE", 4)
    script.said.extend([part(b"oldo", 0, 6, "old"), error(412, "PreconditionFailed")])
    script.said.extend([part(b"newn", 0, 6, "new"), part(b"ew", 4, 6, "new")])
    assert done(script, lambda archive: archive.get("a")).data == b"newnew"


def test_a_blob_that_is_replaced_all_the_time_is_an_error(
    script: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "RANGE", 4)
    script.said.extend([part(b"oldo", 0, 6, "old"), error(412, "PreconditionFailed")] * s3.MOST_TURNS)
    with pytest.raises(ArchiveError, match="replaced 8 times while it was read"):
        done(script, lambda archive: archive.get("a"))
    assert len(script.asked) == 2 * s3.MOST_TURNS


def test_a_server_that_knows_no_ranges_gives_the_part_all_the_same(script: Scripted) -> None:
    script.otherwise = answer(200, b"abcdefghij", ETag='"t"')
    blob = done(script, lambda archive: archive.get("a", 2, 3))
    assert (blob.data, blob.size, blob.tag) == (b"cde", 10, None)


@pytest.mark.parametrize(("status", "code"), [(409, "ConditionalRequestConflict"), (503, "SlowDown")])
def test_a_conflict_or_an_outage_is_an_error_and_no_answer(script: Scripted, status: int, code: str) -> None:
    script.otherwise = error(status, code)
    for act in (
        lambda archive: archive.put_if_absent("a", b"x"),
        lambda archive: archive.compare_and_put("a", b"x", '"t"'),
    ):
        with pytest.raises(ArchiveError, match=rf"archive s3://b/: {code}.*: a"):
            done(script, act)
    assert len(script.asked) == 2, "nothing is sent again"


def test_a_blob_that_has_gone_is_not_replaced(script: Scripted) -> None:
    script.otherwise = error(404, "NoSuchKey")
    assert done(script, lambda archive: archive.compare_and_put("a", b"x", '"t"')) is None
    with pytest.raises(ArchiveError, match="NoSuchKey"):
        done(script, lambda archive: archive.put_if_absent("a", b"x"))


def test_a_bucket_that_is_not_there_is_an_error_and_not_an_empty_archive(script: Scripted) -> None:
    script.otherwise = error(404, "NoSuchBucket")
    for act in (
        lambda archive: archive.get("a"),
        lambda archive: archive.get("a", 0, 1),
        lambda archive: archive.list("a"),
        lambda archive: archive.delete("a"),
        lambda archive: archive.compare_and_put("a", b"x", "t"),
    ):
        with pytest.raises(ArchiveError, match="NoSuchBucket it is") as refused:
            done(script, act)
        assert refused.value.hint is not None


def test_a_list_asks_page_after_page_and_stops_at_its_limit(
    script: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PAGE", 2)

    def page(names: str, token: str) -> bytes:
        keys = "".join(f"<Contents><Key>{name}</Key><Size>1</Size></Contents>" for name in names)
        more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
        return answer(200, f"<ListBucketResult>{keys}{more if token else ''}</ListBucketResult>".encode())

    script.said.extend([page("ab", "1 2"), page("cd", "3"), page("e", "")])
    assert done(script, lambda archive: archive.list("")) == ["a", "b", "c", "d", "e"]
    assert ["continuation-token=1%202" in asked.target for asked in script.asked] == [False, True, False]
    script.said.extend([page("ab", "1"), page("c", "2")])
    assert done(script, lambda archive: archive.list("", limit=3)) == ["a", "b", "c"]
    assert "max-keys=1&" in script.asked[-1].target + "&"
    assert len(script.asked) == 5
    script.said.extend([page("~a", "1"), page("b ", "")])  # names of others, as no archive has them
    assert done(script, lambda archive: archive.list("")) == ["a", "b"]
    assert buckets.PAGE == 1_000
