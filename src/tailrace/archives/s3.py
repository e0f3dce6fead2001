"""An archive in a bucket of S3, or of a server that speaks its protocol and knows conditional writes.

Theory of operation: a blob is an object, its tag the object's ETag; `put_if_absent` is If-None-Match, and
`compare_and_put` If-Match, so that S3 itself decides between two writers. A whole blob is read in ranges of
one content: when it is replaced in between, reading begins anew.
Rules of this file: nothing is sent again after an error; what is not known then, the port says. Needs the
extra `aws`. Decision 67.
"""

from collections.abc import Sequence
from typing import Final

from tailrace.archives.names import check_name, is_name
from tailrace.aws.buckets import PAGE, ObjectPart, S3Bucket
from tailrace.aws.errors import AwsError, Meaning
from tailrace.aws.places import Access
from tailrace.errors import ArchiveError
from tailrace.ports import Blob

RANGE: Final = 16 * 1024 * 1024
"""Bytes of one request."""
MOST_TURNS: Final = 8
"""How often reading begins anew for a blob that is replaced all the time."""


class S3Archive:
    """The port ArchiveStore over a bucket. Shape: `prefix` stands before every name, with a `/` between; ""
    is none.
    """

    def __init__(self, bucket: str, prefix: str = "", *, access: Access | None = None) -> None:
        self._bucket = S3Bucket(Access() if access is None else access, bucket)
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._place = f"s3://{bucket}/{self._prefix}"

    async def get(self, name: str, start: int = 0, length: int | None = None) -> Blob | None:
        """A blob or a part of it. Raises: ArchiveError."""
        key = self._key(name)
        try:
            part = await (
                self._rest(key, name, start) if length is None else self._bucket.read(key, start, length)
            )
        except AwsError as error:
            raise self._failed(name, error) from error
        if part is None:
            return None
        is_whole = start == 0 and length is None
        return Blob(part.data, part.size, part.tag if is_whole else None)

    async def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> Sequence[str]:
        """Names in order. Raises: ArchiveError."""
        names: list[str] = []
        token: str | None = None
        try:
            while limit is None or len(names) < limit:
                most = PAGE if limit is None else limit - len(names)
                page = await self._bucket.names(
                    f"{self._prefix}{prefix}",
                    after=f"{self._prefix}{after}" if after else "",
                    most=most,
                    token=token,
                )
                keys = (key.removeprefix(self._prefix) for key in page.sizes)
                names += filter(is_name, keys)  # others' objects may have other names, such as folders
                if (token := page.token) is None:
                    break
        except AwsError as error:
            raise self._failed(prefix, error) from error
        return names

    async def put_if_absent(self, name: str, data: bytes) -> str | None:
        """Write a new blob. Raises: ArchiveError."""
        return await self._put(name, data, None)

    async def compare_and_put(self, name: str, data: bytes, tag: str) -> str | None:
        """Replace a blob that is still the one that was read. Raises: ArchiveError."""
        return await self._put(name, data, tag)

    async def delete(self, name: str) -> None:
        """Remove a blob. Raises: ArchiveError."""
        key = self._key(name)
        try:
            await self._bucket.delete(key)
        except AwsError as error:
            raise self._failed(name, error) from error

    # ---- requests ------------------------------------------------------------------------------------------

    async def _rest(self, key: str, name: str, start: int) -> ObjectPart | None:
        """Everything from `start` on, of one content. Raises: AwsError, ArchiveError."""
        for _ in range(MOST_TURNS):
            part = await self._bucket.read(key, start, RANGE)
            if part is None:
                return None
            pieces, done = [part.data], start + len(part.data)
            try:
                while done < part.size:
                    following = await self._bucket.read(key, done, RANGE, part.tag)
                    if following is None or not following.data:
                        break
                    pieces.append(following.data)
                    done += len(following.data)
            except AwsError as error:
                if error.verdict.meaning is not Meaning.CONDITION:
                    raise
                continue
            if done >= part.size:
                return ObjectPart(b"".join(pieces), part.size, part.tag)
        raise ArchiveError(
            f"archive {self._place}: {name}: it was replaced {MOST_TURNS} times while it was read"
        )

    async def _put(self, name: str, data: bytes, tag: str | None) -> str | None:
        key = self._key(name)
        try:
            return await self._bucket.put(key, bytes(data), tag)
        except AwsError as error:
            raise self._failed(name, error) from error

    def _key(self, name: str) -> str:
        return f"{self._prefix}{check_name(name)}"

    def _failed(self, name: str, error: AwsError) -> ArchiveError:
        text = ": ".join(part for part in (error.code, error.words) if part)
        return ArchiveError(
            f"archive {self._place}: {text}: {name}", hint=error.hint, retry_after_ms=error.retry_after_ms
        )
