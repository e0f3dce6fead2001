"""What a blob may be called, and how it is recognised: the same rules for every archive.

Stands alone because every adapter of the port needs it. Rules of this file: pure. A name fits a file system,
an object store and a URL as it is.
"""

import re
from hashlib import sha256
from typing import Final

from tailrace.errors import SettingsError

LONGEST: Final = 900
"""Letters of a name. S3 takes 1,024 bytes with whatever stands before it; no segment is longer than a file's
name may be.
"""
_SEGMENT: Final = r"[A-Za-z0-9_=-][A-Za-z0-9._=-]{0,199}"
_NAME: Final = re.compile(rf"{_SEGMENT}(/{_SEGMENT})*", re.ASCII)


def check_name(name: str) -> str:
    """The name itself. Raises: SettingsError for one that some archive could not keep.

    >>> check_name("eu-west-1/123456789012/orders/00000000000000000007.json")
    'eu-west-1/123456789012/orders/00000000000000000007.json'
    """
    if not is_name(name):
        raise SettingsError(
            f"{name!r} is no name in an archive: segments of at most 200 letters, digits and . _ = - "
            "that begin with no dot,"
            f" joined with /, {LONGEST} letters in all"
        )
    return name


def is_name(text: str) -> bool:
    """Whether every archive can keep a blob under it."""
    return len(text) <= LONGEST and _NAME.fullmatch(text) is not None


def tag_of(data: bytes) -> str:
    """What tells this content from any other: equal bytes have equal tags."""
    return sha256(data).hexdigest()
