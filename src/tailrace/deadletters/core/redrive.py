"""What to redrive: choosing dead letters, grouping them, and what to do about one that is overtaken.

Rules of this file: pure decisions over letters; the doing is deadletters/run/redriver.py's. A filter's text
is a shell pattern, as in `error="SMTP*"`. Called by `dlq` on the command line, from Python and by the
redriver.
"""

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from tailrace import errors
from tailrace.deadletters.core.entry import DeadLetter
from tailrace.errors import SettingsError
from tailrace.streams.record import ChangeRecord, image
from tailrace.streams.version import Version

RATE: Final = re.compile(r"(\d+(?:\.\d+)?)/(s|m|h)")
PER_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000}
Judgement: TypeAlias = Literal["redrive", "overtaken"]


class Choice(Struct, frozen=True):
    """Which dead letters are meant. Shape: None chooses all; `key` as `item_words` writes it. Units: ms since
    the epoch.
    """

    error: str | None = None
    key: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    fingerprint: str | None = None
    event_id: str | None = None

    def takes(self, letter: DeadLetter) -> bool:
        """Whether this letter is meant."""
        return (
            (self.error is None or fnmatchcase(letter.error, self.error))
            and (self.key is None or fnmatchcase(item_words(letter), self.key))
            and (self.since_ms is None or letter.last_failure_ms >= self.since_ms)
            and (self.until_ms is None or letter.last_failure_ms < self.until_ms)
            and (self.fingerprint is None or fingerprint(letter) == self.fingerprint)
            and (self.event_id is None or letter.event_id == self.event_id)
        )

    def takes_waiting(self, letter: DeadLetter) -> bool:
        """Whether a change that only waits is meant: by its key alone, since nothing befell it."""
        nothing_else = (self.error, self.since_ms, self.until_ms, self.fingerprint) == (None,) * 4
        return nothing_else and self.takes(letter)

    def fields(self) -> dict[str, Any]:
        """The choice as JSON, for requests and the audit."""
        named = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: value for name, value in named.items() if value is not None}


def read_choice(fields: Mapping[str, Any]) -> Choice:
    """The choice behind JSON. Raises: SettingsError for a name or a type that it does not know."""
    for name, value in fields.items():
        kind = int if name.endswith("_ms") else str
        if name not in Choice.__struct_fields__ or not isinstance(value, kind):
            raise SettingsError(
                f"where: {name}={value!r} is not known; there are {', '.join(Choice.__struct_fields__)}"
            )
    return Choice(**fields)


def item_words(letter: DeadLetter) -> str:
    """The key of a letter's item in words."""
    return key_words(letter.record)


def key_words(record: ChangeRecord) -> str:
    """An item's key in words, as people name it: "o1", or "o1/7" for a key of two attributes.

    Binary values are written as they are answered, in base64.
    """
    return "/".join(str(text) for value in (image(record.keys) or {}).values() for text in value.values())


def fingerprint(letter: DeadLetter) -> str:
    """The same for letters whose failures look alike."""
    return errors.fingerprint(letter.error, letter.traceback)


class FailureGroup(Struct):
    """Failures that look alike. Shape: `error` as the first of them says it. Units: ms since the epoch."""

    error: str
    count: int = 0
    first_failure_ms: int = 0
    last_failure_ms: int = 0

    def add(self, letter: DeadLetter) -> None:
        """Count a letter, and widen the time of the group to its failures."""
        first = letter.first_failure_ms
        self.first_failure_ms = min(self.first_failure_ms, first) if self.count else first
        self.last_failure_ms = max(self.last_failure_ms, letter.last_failure_ms)
        self.count += 1


class Groups:
    """Letters by fingerprint; those that only wait belong to none. Nothing of a letter is kept but its
    group's numbers.
    """

    def __init__(self, letters: Iterable[DeadLetter] = ()) -> None:
        self.letters = self.waiting = 0
        self._longest: dict[str, int] = {}
        self._groups: dict[str, FailureGroup] = {}
        for letter in letters:
            self.add(letter)

    def add(self, letter: DeadLetter) -> None:
        """Count a letter, in the group of its fingerprint unless it only waits."""
        self.letters += 1
        self.waiting += letter.is_waiting
        self._longest[letter.table] = max(self._longest.get(letter.table, 0), len(item_words(letter)))
        if not letter.is_waiting:
            self._groups.setdefault(fingerprint(letter), FailureGroup(letter.error)).add(letter)

    def longest_item(self, table: str) -> int:
        """The length of the longest `table/key` of a letter, so that a list can stand in line before it is
        read. `table` is that of letters that do not say.
        """
        return max((len(name or table) + 1 + key for name, key in self._longest.items()), default=0)

    def largest_first(self) -> list[tuple[str, FailureGroup]]:
        """Fingerprints and their groups, the most letters first."""
        return sorted(self._groups.items(), key=lambda pair: -pair[1].count)


def judge(letter: DeadLetter, last_passed: Version, *, even_if_overtaken: bool) -> Judgement:
    """Whether a discarded change may be put back: not when a later change of its item was handled since.

    Source:  architecture §5.3, users.md bug museum 26 (a redriven v1 overwrites v3).
    """
    is_overtaken = last_passed > letter.record.version
    return "overtaken" if is_overtaken and not even_if_overtaken else "redrive"


def interval_ms(rate: str | None) -> float:
    """The time from one change to the next at this rate; None: no limit. Raises: SettingsError.

    >>> interval_ms("10/s")
    100.0
    """
    if rate is None:
        return 0.0
    match = RATE.fullmatch(rate)
    if match is None or float(match[1]) <= 0:
        raise SettingsError(
            f"rate: {rate!r} is not allowed; write 10/s, 100/m or 1000/h",
            hint="tailrace dlq redrive HANDLER --rate 10/s",
        )
    return PER_MS[match[2]] / float(match[1])
