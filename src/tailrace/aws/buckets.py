"""A bucket of S3: names, ranges of objects, and writes under a condition.

Theory of operation: names are asked for URL-encoded, for XML cannot say all that a key may be. A part of an
object is one range; beyond an object's end S3 refuses the range, and then only its size is asked. A write
says what must be there: nothing, or the content with an ETag; one of several writers wins, and the others
hear it. A conflict (409) says that another write of the same name is under way: this one was not done.
Rules of this file: one request a call, except where an object ends before a range; nothing is sent again.
Errors are AwsError; what is not there is None. Used by archives/s3.py and sources/export_files.py.
Source: S3 API Reference, ListObjectsV2, GetObject, PutObject ("conditional writes").
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote_plus

from msgspec import Struct

from tailrace.aws import client
from tailrace.aws.errors import AwsError
from tailrace.aws.places import Access

PAGE: Final = 1_000
"""Names of one answer at most."""
ABSENT: Final = "NoSuchKey"
BEYOND: Final = "InvalidRange"


class ObjectPart(Struct, frozen=True):
    """Bytes of an object. Shape: `size` of the whole, `tag` its ETag as S3 writes it, with quotes."""

    data: bytes
    size: int
    tag: str


class NamesPage(Struct, frozen=True):
    """Names in the order of their bytes. Shape: `sizes` by key, `prefixes` where a delimiter was given, with
    it at their end; `token` asks for what follows, None: nothing does.
    """

    sizes: Mapping[str, int]
    prefixes: tuple[str, ...]
    token: str | None


class S3Bucket:
    """One bucket, as one caller sees it."""

    def __init__(self, access: Access, name: str) -> None:
        self._access = access
        self._name = name

    async def names(
        self, prefix: str, *, after: str = "", delimiter: str = "", most: int = PAGE, token: str | None = None
    ) -> NamesPage:
        """A page of names that begin with a prefix and come after `after`. Raises: AwsError."""
        parameters: dict[str, Any] = {"Prefix": prefix, "MaxKeys": min(most, PAGE), "EncodingType": "url"}
        if token is not None:
            parameters["ContinuationToken"] = token
        elif after:
            parameters["StartAfter"] = after
        if delimiter:
            parameters["Delimiter"] = delimiter
        answer = await self._call("list_objects_v2", parameters)
        sizes = {unquote_plus(one["Key"]): int(one["Size"]) for one in answer.get("Contents", ())}
        prefixes = tuple(unquote_plus(one["Prefix"]) for one in answer.get("CommonPrefixes", ()))
        return NamesPage(
            sizes, prefixes, answer.get("NextContinuationToken") if answer.get("IsTruncated") else None
        )

    async def read(self, key: str, start: int, length: int, tag: str | None = None) -> ObjectPart | None:
        """A range of an object, fewer bytes at its end; None: there is none. Shape: with a tag, of that
        content alone. Raises: AwsError, of the meaning CONDITION when it is another one.
        """
        if length == 0:
            return await self.size_of(key)
        parameters = {"Key": key, "Range": f"bytes={start}-{start + length - 1}"}
        if tag is not None:
            parameters["IfMatch"] = tag
        try:
            answer = await self._call("get_object", parameters)
        except AwsError as error:
            if error.code == ABSENT:
                return None
            if error.code == BEYOND:
                return await self.size_of(key)
            raise
        data: bytes = answer["Body"]
        _, _, size = str(answer.get("ContentRange", "")).partition("/")
        # A server that does not know ranges answers the whole object.
        if not size:
            return ObjectPart(data[start : start + length], len(data), answer["ETag"])
        return ObjectPart(data, int(size), answer["ETag"])

    async def size_of(self, key: str) -> ObjectPart | None:
        """No bytes of an object, but its size and its tag; None: there is none. Raises: AwsError."""
        try:
            answer = await self._call("head_object", {"Key": key})
        except AwsError as error:
            if error.status == 404:
                return None
            raise
        return ObjectPart(b"", int(answer["ContentLength"]), answer["ETag"])

    async def put(self, key: str, data: bytes, tag: str | None) -> str | None:
        """Write an object where none is (no tag), or over the one with this tag. Returns: the new tag; None
        when there is one, another one, or none any more.

        Raises:  AwsError; of the meaning CONFLICT when another writer is at it: then nothing was written.
        """
        condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
        try:
            answer = await self._call("put_object", {"Key": key, "Body": data, **condition})
        except AwsError as error:
            if error.status == 412 or (tag is not None and error.code == ABSENT):
                return None
            raise
        return str(answer["ETag"])

    async def delete(self, key: str) -> None:
        """Remove an object, if it is there. Raises: AwsError."""
        await self._call("delete_object", {"Key": key})

    async def _call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return await client.call(self._access, "s3", operation, {"Bucket": self._name, **parameters})
