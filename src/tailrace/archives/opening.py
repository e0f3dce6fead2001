"""An archive by the name of its place: a directory, or `s3://bucket/prefix`.

Rules of this file: it picks; what needs an extra is imported when it is picked.
"""

from pathlib import Path
from typing import Any, Final

from tailrace.errors import SettingsError, Unavailable
from tailrace.ports import ArchiveStore

S3: Final = "s3://"


def archive_at(place: str, access: Any = None) -> ArchiveStore:
    """The archive at a place. Shape: `access` says where and as whom S3 is called; None: what botocore finds
    in the environment. Raises: SettingsError; Unavailable where an extra is not installed.
    """
    if not place.startswith(S3):
        from tailrace.archives.directory import DirectoryArchive

        return DirectoryArchive(directory_of(place))
    bucket, _, prefix = place.removeprefix(S3).partition("/")
    if not bucket:
        raise SettingsError(f"{place!r} names no bucket: write it like s3://bucket/prefix")
    try:
        import aiohttp  # noqa: F401 - what calls S3 imports it when it calls
        import botocore  # noqa: F401

        from tailrace.archives.s3 import S3Archive
    except ImportError as error:
        raise Unavailable(
            f"{place} needs the extra `aws`", hint="pip install '.[aws]' in the checkout, and start again"
        ) from error
    return S3Archive(bucket, prefix, access=access)


def directory_of(place: str) -> Path:
    """The directory that a place names, `~` as a shell reads it. Raises: SettingsError for nobody's home."""
    try:
        return Path(place).expanduser()
    except RuntimeError as error:
        raise SettingsError(
            f"{place!r} is in the home of nobody who is known here", hint="write the whole path"
        ) from error
