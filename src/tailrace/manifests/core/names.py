"""The names of files: what they came from, and a hash of their bytes.

Rules of this file: pure. A name is the same whenever the same bytes of the same range are written again, and
fits every archive (archives/names.py).
"""

import re
from hashlib import sha256
from typing import Final

OUTSIDE: Final = re.compile(r"[^A-Za-z0-9._-]")
LONGEST_VALUE: Final = 60
LONGEST_SHARD: Final = 60
HASH: Final = 8
NUMBERED: Final = re.compile(r"/([0-9]{20})\.json\Z")
HASHED: Final = re.compile(r"-[0-9a-f]{16}(-\d+)?\.parquet\Z")


def file_stem(shard: str, after: int, through: int) -> str:
    """What a file of a shard's changes is called: what it came from.

    >>> file_stem("shardId-00000001", 7, 900)
    'shardId-00000001-7-900'
    """
    return f"{safe(shard)[:LONGEST_SHARD]}-{after}-{through}"


def digest(data: bytes) -> str:
    """What tells the bytes of one file from those of another."""
    return sha256(data).hexdigest()[: 2 * HASH]


def number_in(name: str) -> int | None:
    """The number under which a delta or a whole manifest was written; None for files of others, which no
    reader opens and nobody deletes.

    >>> number_in("t/_manifest/delta/00000000000000000007.json"), number_in("t/_manifest/delta/7.json~")
    (7, None)
    """
    matched = NUMBERED.search(name)
    return None if matched is None else int(matched[1])


def is_own(name: str) -> bool:
    """Whether a file of rows was named here; those of others are not cleaned away.

    >>> is_own("t/segments/shard-0-7-0123456789abcdef.parquet"), is_own("t/segments/notes.parquet")
    (True, False)
    """
    return HASHED.search(name) is not None


def safe(text: str) -> str:
    """A text as part of a name in an archive: what was changed or cut has a hash of all of it behind.

    >>> safe("Order"), safe("a b/c")
    ('Order', 'a-b-c-539138d5')
    """
    plain = OUTSIDE.sub("-", text)[:LONGEST_VALUE].lstrip(".")
    return plain if text and plain == text else f"{plain}-{sha256(text.encode()).hexdigest()[:HASH]}"
