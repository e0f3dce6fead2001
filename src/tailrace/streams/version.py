"""Versions: what is newer, over every stream that a table has had or will have.

A version is `(generation, sequence)`, compared as a pair. A generation is the number of one source of a table
in one app: a stream, the stream after it was off, the table's next incarnation, another endpoint. Rules of
this file: pure; the order of the texts and of the bytes is the order of the versions; no reader takes a time
out of one. Source: growth §2.2.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Self

from tailrace.errors import SourceError

GENERATION_DIGITS: Final = 10
SEQUENCE_DIGITS: Final = 56
"""Kinesis numbers its records with 56 digits, DynamoDB with up to 40."""
GENERATION_BYTES: Final = 4
SEQUENCE_BYTES: Final = 24
FIRST_GENERATION: Final = 1
"""Of a table's first source, and of everything written before there were generations."""
MOST_GENERATIONS: Final = 256**GENERATION_BYTES - 1
MOST_SEQUENCE: Final = 10**SEQUENCE_DIGITS - 1


class Version(NamedTuple):
    """How new something is.

    >>> Version(1, 900) < Version(2, 7)
    True
    """

    generation: int
    sequence: int

    @property
    def text(self) -> str:
        """As rows keep it: ten digits of generation and fifty-six of sequence. Raises: SourceError for one
        that is wider.

        >>> len(Version(1, 900).text), Version(1, 900).text < Version(1, 1_000).text
        (66, True)
        """
        check_width(self)
        return f"{self.generation:0{GENERATION_DIGITS}d}{self.sequence:0{SEQUENCE_DIGITS}d}"

    @property
    def packed(self) -> bytes:
        """As files keep it: 28 bytes, big-endian. Raises: SourceError for one that is wider."""
        check_width(self)
        return self.generation.to_bytes(GENERATION_BYTES, "big") + self.sequence.to_bytes(
            SEQUENCE_BYTES, "big"
        )

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The version behind its text. Raises: ValueError.

        >>> Version.from_text(Version(1, 900).text)
        Version(generation=1, sequence=900)
        """
        if len(text) != GENERATION_DIGITS + SEQUENCE_DIGITS or not (text.isascii() and text.isdigit()):
            raise ValueError(f"{text!r} is no version: ten digits of generation and fifty-six of sequence")
        return cls(int(text[:GENERATION_DIGITS]), int(text[GENERATION_DIGITS:]))

    @classmethod
    def from_packed(cls, data: bytes) -> Self:
        """The version behind its bytes. Raises: ValueError."""
        if len(data) != GENERATION_BYTES + SEQUENCE_BYTES:
            raise ValueError(f"a version has {GENERATION_BYTES + SEQUENCE_BYTES} bytes, not {len(data)}")
        return cls(
            int.from_bytes(data[:GENERATION_BYTES], "big"), int.from_bytes(data[GENERATION_BYTES:], "big")
        )


NOTHING: Final = Version(0, 0)
"""Older than every change."""


def row_version(fields: Mapping[str, Any]) -> Version | None:
    """The version in a row of either form: `version`, a text, or before there were versions `sequence`, a
    number of the first generation.

    Returns: None for a row with neither.

    >>> row_version({"sequence": 7}), row_version({"version": Version(2, 7).text})
    (Version(generation=1, sequence=7), Version(generation=2, sequence=7))
    """
    if (text := fields.get("version")) is not None:
        return Version.from_text(text)
    sequence = fields.get("sequence")
    return None if sequence is None else Version(FIRST_GENERATION, int(sequence))


def check_width(version: Version) -> None:
    """Require that it fits where it is kept. Raises: SourceError."""
    if not 0 <= version.generation <= MOST_GENERATIONS:
        raise SourceError(f"generation {version.generation} does not fit: at most {MOST_GENERATIONS}")
    if not 0 <= version.sequence <= MOST_SEQUENCE:
        raise SourceError(
            f"sequence number {version.sequence} does not fit: at most {SEQUENCE_DIGITS} digits"
        )
