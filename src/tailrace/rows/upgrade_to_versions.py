"""Keys of before versions: where a sequence number of nineteen digits stands, a version of the first
generation comes.

Theory of operation: a row is written under its new key and its old one goes in one transaction, so that a
crash at any moment leaves rows under old keys and rows under new ones, each row once; the next try takes
the old ones that are left. Only keys change: fields are read in their own formats.
Rules of this file: pure; which word of a key it is says the registry. Stands alone because it is of one
upgrade and goes with it. Called by engine/upgrade_to_versions.py. Source: growth §2.2.
"""

from typing import Final

from tailrace.rows.kinds import KINDS, RowKind, joined, words_of
from tailrace.rows.writes import Equals, StateRow, Write
from tailrace.streams.version import FIRST_GENERATION, Version

OLD_DIGITS: Final = 19
VERSIONED: Final[tuple[RowKind, ...]] = tuple(kind for kind in KINDS.values() if kind.version_word)
"""The kinds with a version in their keys."""


def rekeyed(kind: RowKind, row: StateRow) -> list[Write]:
    """What puts a row under its new key; [] for one that has it.

    Guarantee: the old row is there, or nothing is written: who comes second must not bring back what was put
               back meanwhile.
    """
    words = words_of(row.key)
    if kind.version_word >= len(words):
        return []
    old = words[kind.version_word]
    if len(old) != OLD_DIGITS or not (old.isascii() and old.isdigit()):
        return []  # it has a version, or is named by something else
    words[kind.version_word] = Version(FIRST_GENERATION, int(old)).text
    return [Write(row.key, None, Equals("v", row.fields["v"])), Write(joined(*words), row.fields)]
