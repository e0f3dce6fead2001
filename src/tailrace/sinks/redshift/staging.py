"""Files in S3 that Redshift's COPY reads: written, named in a statement, removed.

Theory of operation: a file is of one transaction alone, under a name that begins with the time; S3 says
whether another one has it. Whoever wrote it removes it once it is known how the transaction ended. What
nobody removes, because a process was killed or an answer was lost, is removed by any sink with this prefix
when it is older than a statement can run.
Rules of this file: a file is never overwritten or read again. Called by sinks/redshift/doors.py.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import blake2b
from itertools import count
from typing import Final

from tailrace.archives import S3Archive
from tailrace.aws.places import Access
from tailrace.errors import ArchiveError, InternalError, SettingsError, Unavailable
from tailrace.ports import ArchiveStore, Clock
from tailrace.runtime.threads import in_thread
from tailrace.sinks.intercepting import missing_extra
from tailrace.sinks.redshift.files import json_lines, parquet
from tailrace.sinks.sql.statements import StagedColumn

KEPT_MS: Final = 48 * 3_600_000
"""A statement of the Data API runs for 24 hours at most."""
EVERY_MS: Final = 6 * 3_600_000
"""How often old files are looked for."""
PAGE: Final = 1_000


class StagingPrefix:
    """Where files are staged. Shape: `url` is s3://bucket/prefix. Raises: SettingsError for another one."""

    def __init__(self, url: str, access: Access, archive: ArchiveStore | None = None) -> None:
        scheme, _, rest = url.partition("://")
        bucket, _, prefix = rest.partition("/")
        if scheme != "s3" or not bucket or not prefix.strip("/"):
            raise SettingsError(
                f"staging={url!r}: it is a prefix of a bucket",
                hint='sinks.Redshift(…, staging="s3://my-bucket/tailrace")',
            )
        self._url = f"s3://{bucket}/{prefix.strip('/')}/"
        self._archive = S3Archive(bucket, prefix, access=access) if archive is None else archive
        self._swept_ms: int | None = None

    def url_of(self, name: str) -> str:
        """What COPY is told."""
        return self._url + name

    async def put(self, columns: Sequence[StagedColumn], clock: Clock, *, is_parquet: bool) -> str:
        """Write a file. Returns: its name. Raises: Unavailable."""
        await self._sweep_in_time(clock)
        async with self._told():
            data = await in_thread(parquet if is_parquet else json_lines, columns)
            ending = "parquet" if is_parquet else "json.gz"
            begun = f"{clock.now().wall_ms:015d}-{blake2b(data, digest_size=8).hexdigest()}"
            for number in count():
                name = f"{begun}-{number}.{ending}"
                if await self._archive.put_if_absent(name, data) is not None:
                    return name
        raise InternalError("numbers have come to an end")

    async def delete(self, names: Sequence[str]) -> None:
        """Remove files whose transaction has ended. What cannot be removed now is removed as an old one."""
        for name in names:
            try:
                await self._archive.delete(name)
            except ArchiveError:
                return

    async def sweep(self, clock: Clock) -> None:
        """Remove what is so old that nothing can read it any more. Raises: Unavailable."""
        before = f"{clock.now().wall_ms - KEPT_MS:015d}"
        self._swept_ms = clock.now().monotonic_ms
        async with self._told():
            while True:
                names = await self._archive.list("", limit=PAGE)
                old = [name for name in names if name < before]
                for name in old:
                    await self._archive.delete(name)
                if len(old) < PAGE:
                    return

    async def _sweep_in_time(self, clock: Clock) -> None:
        now = clock.now().monotonic_ms
        if self._swept_ms is not None and now - self._swept_ms >= EVERY_MS:
            await self.sweep(clock)

    @asynccontextmanager
    async def _told(self) -> AsyncIterator[None]:
        try:
            yield
        except ImportError as error:
            raise missing_extra("sinks.Redshift", "redshift") from error
        except ArchiveError as error:
            raise Unavailable(
                f"staging {self._url}: {error.args[0]}",
                hint=error.hint or "the worker needs s3:PutObject, s3:DeleteObject and s3:ListBucket there",
                retry_after=error.retry_after_ms / 1_000,
            ) from error
