"""Where exports lie: a directory, or a bucket of S3, as the reader of exports asks for them.

Rules of this file: one level of names and ranges of bytes, nothing of what an export is; a call blocks and is
made in a thread. What a place says no to is in words with the next command. Implements
exports/run/files.py, and names the archive that exports are written to; needs the extra `aws` for S3 alone.
"""

import os
from pathlib import Path
from posixpath import basename, join, normpath
from typing import Final

from msgspec import Struct

from tailrace.archives import DirectoryArchive, S3Archive
from tailrace.aws.buckets import NamesPage, ObjectPart, S3Bucket
from tailrace.aws.errors import AwsError, sink_error
from tailrace.aws.places import Access
from tailrace.errors import Refused, SettingsError, TailraceError, Unavailable
from tailrace.exports.run.files import ExportFiles, FolderEntries
from tailrace.ports import ArchiveStore
from tailrace.runtime.beside import waited_for

S3: Final = "s3://"


def export_place(text: str, access: Access) -> ExportFiles:
    """The files behind a directory or `s3://BUCKET/PREFIX`. Raises: SettingsError for what is neither."""
    if text.startswith(S3):
        name, _, prefix = text.removeprefix(S3).partition("/")
        if not name:
            raise SettingsError(f"{text!r} names no bucket: write it like s3://bucket/prefix/AWSDynamoDB")
        return BucketFiles(access, name, prefix)
    if text.startswith("arn:"):
        raise SettingsError(
            f"{text} says which export it is, and not where it lies",
            hint=f"aws dynamodb describe-export --export-arn {text} (S3Bucket, S3Prefix), then "
            "tailrace export ls s3://BUCKET/PREFIX",
        )
    if "://" in text:
        raise SettingsError(f"{text!r} is no place that is read: a directory, or s3://bucket/prefix")
    root = Path(text)
    if not root.exists():
        raise SettingsError(
            f"{text}: there is no such directory", hint="aws s3 sync s3://BUCKET/PREFIX DIRECTORY"
        )
    if not root.is_dir():
        raise SettingsError(f"{text} is a file: name its directory", hint=f"tailrace export ls {root.parent}")
    return DirectoryFiles(root, text)


class WrittenPlace(Struct, frozen=True):
    """Where exports are written. Shape: bucket and prefix as manifests say them, "" for a directory."""

    archive: ArchiveStore
    bucket: str
    prefix: str


def written_place(text: str, access: Access) -> WrittenPlace:
    """The archive behind a directory, which need not be there, or `s3://BUCKET/PREFIX`. Raises: SettingsError
    for what is neither.
    """
    if text.startswith(S3):
        name, _, prefix = text.removeprefix(S3).partition("/")
        if not name:
            raise SettingsError(f"{text!r} names no bucket: write it like s3://bucket/prefix")
        prefix = prefix.strip("/")
        return WrittenPlace(S3Archive(name, prefix, access=access), name, prefix)
    if text.startswith("arn:") or "://" in text:
        raise SettingsError(f"{text!r} is no place that is written to: a directory, or s3://bucket/prefix")
    root = Path(text)
    if root.exists() and not root.is_dir():
        raise SettingsError(f"{text} is a file: name a directory")
    return WrittenPlace(DirectoryArchive(root), "", "")


class DirectoryFiles:
    """Files of a directory. Shape: `place` as it was typed."""

    def __init__(self, root: Path, place: str) -> None:
        self._root = root
        self.place = place

    def entries(self, folder: str) -> FolderEntries:
        """What is in a folder. Raises: Refused, Unavailable."""
        folders: list[str] = []
        files: dict[str, int] = {}
        try:
            with os.scandir(self._root / folder) as entries:
                for entry in entries:
                    if entry.is_dir():
                        folders.append(entry.name)
                    else:
                        files[entry.name] = entry.stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return FolderEntries((), {})
        except OSError as error:
            raise _failed(self._root / folder, error) from error
        return FolderEntries(tuple(sorted(folders)), dict(sorted(files.items())))

    def read(self, name: str, start: int, length: int) -> bytes | None:
        """Bytes of a file. Raises: Refused, Unavailable."""
        try:
            with (self._root / name).open("rb") as file:
                file.seek(start)
                return file.read(length)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        except OSError as error:
            raise _failed(self._root / name, error) from error


def _failed(path: Path, error: OSError) -> TailraceError:
    words = f"{path}: {error.strerror}"
    return Refused(words) if isinstance(error, PermissionError) else Unavailable(words)


class BucketFiles:
    """Objects below a prefix of a bucket; folders are what stands before a `/`."""

    def __init__(self, access: Access, bucket: str, prefix: str) -> None:
        self._bucket = S3Bucket(access, bucket)
        self._prefix = prefix.strip("/")
        self.place = f"{S3}{bucket}/{self._prefix}" if self._prefix else f"{S3}{bucket}"

    def entries(self, folder: str) -> FolderEntries:
        """What is in a folder, all pages of it. Raises: Refused, Throttled, Unavailable."""
        key = self._key(folder)
        prefix = f"{key}/" if key else ""
        folders: list[str] = []
        files: dict[str, int] = {}
        token: str | None = None
        while True:
            page = self._names(prefix, token)
            folders += [basename(one.rstrip("/")) for one in page.prefixes]
            files |= {basename(one): size for one, size in page.sizes.items() if not one.endswith("/")}
            if (token := page.token) is None:
                return FolderEntries(tuple(folders), files)

    def read(self, name: str, start: int, length: int) -> bytes | None:
        """Bytes of an object. Raises: Refused, Throttled, Unavailable."""
        part = self._part(self._key(name), start, length)
        return None if part is None else part.data

    def _names(self, prefix: str, token: str | None) -> NamesPage:
        try:
            return waited_for(self._bucket.names(prefix, delimiter="/", token=token))
        except AwsError as error:
            raise self._said(error) from error

    def _part(self, key: str, start: int, length: int) -> ObjectPart | None:
        try:
            return waited_for(self._bucket.read(key, start, length))
        except AwsError as error:
            raise self._said(error) from error

    def _key(self, name: str) -> str:
        key = normpath(join(self._prefix, name)) if self._prefix or name else ""
        return "" if key in (".", "..") else key.removeprefix("../")

    def _said(self, error: AwsError) -> TailraceError:
        return sink_error(error.of(self.place))
