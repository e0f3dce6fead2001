"""From the bytes of a data file to its lines: gzip, zstandard or neither, piece by piece.

Rules of this file: pure; what comes in are chunks, and no more than a few of them is held. A stream that ends
before its end mark is Unreadable: what it has given until then was given. Called by run/reading.py, which
checks the whole file's MD5 beside it.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from isal import isal_zlib

from tailrace.errors import SettingsError
from tailrace.exports.core.exported import Compression
from tailrace.exports.core.unreadable import Unreadable

GZIP_WINDOW: Final = 31
"""A window of 32 KiB behind gzip's header (16 + 15)."""
PIECE: Final = 1024 * 1024
"""Bytes of an unpacked piece at most."""
SLICE: Final = 16 * 1024
"""Bytes that are unpacked at once where the size of what comes out cannot be bounded."""
LONGEST_LINE: Final = 32 * 1024 * 1024
"""Two images of 400 KB with every character escaped, and their keys, are below 6 MB."""


def unpacked(chunks: Iterable[bytes], compression: Compression) -> Iterator[bytes]:
    """What a file's chunks hold. Raises: Unreadable; SettingsError without the extra for zstandard."""
    match compression:
        case "GZIP":
            return _gunzipped(chunks)
        case "ZSTD":
            return _unzstd(chunks)
    return iter(chunks)


def lines_of(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines without their ends, empty ones too; what stands behind the last end is a line if it is
    something. Raises: Unreadable for a line beyond any item's size.
    """
    rest = b""
    for chunk in chunks:
        lines = (rest + chunk if rest else chunk).split(b"\n")
        rest = lines.pop()
        if len(rest) > LONGEST_LINE:
            raise Unreadable(f"a line of more than {LONGEST_LINE:,} bytes: {rest[:100]!r}…")
        yield from lines
    if rest:
        yield rest


def _gunzipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Every member of a gzip file."""
    member: Any = None
    for chunk in chunks:
        data = chunk
        while data:
            if member is None:
                member = isal_zlib.decompressobj(GZIP_WINDOW)
            try:
                piece = member.decompress(data, PIECE)
            except isal_zlib.error as error:  # type: ignore[misc] # its stub declares an instance
                raise Unreadable(f"damaged gzip ({error})") from error
            if piece:
                yield piece
            data = member.unconsumed_tail
            if member.eof:
                data, member = member.unused_data, None
    if member is not None:
        raise Unreadable("the gzip ends before its end: the file is cut off")


def _unzstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Every frame of a zstandard file."""
    try:
        from zstandard import ZstdDecompressor, ZstdError
    except ModuleNotFoundError as error:
        raise SettingsError(
            "files in zstandard need the extra `exports`", hint="pip install '.[exports]' in the checkout"
        ) from error
    frame: Any = None
    for chunk in chunks:
        for start in range(0, len(chunk), SLICE):
            data = chunk[start : start + SLICE]
            while data:
                if frame is None:
                    frame = ZstdDecompressor().decompressobj()
                try:
                    piece = frame.decompress(data)
                except ZstdError as error:
                    raise Unreadable(f"damaged zstandard ({error})") from error
                if piece:
                    yield piece
                data = frame.unused_data if frame.eof else b""
                if frame.eof:
                    frame = None
    if frame is not None:
        raise Unreadable("the zstandard ends before its end: the file is cut off")
