"""What an operator asks a redriver for, what that means, and how far it has come.

Rules of this file: values and their rows. Called by redriver.py, putting_back.py, the `dlq` verbs and the
control socket.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

from msgspec import Struct, field

from tailrace.deadletters.core.redrive import Choice, read_choice
from tailrace.rows.writes import VERSION, readable
from tailrace.streams.version import Version

EVERYTHING: Final = Choice()


class RedriveRequest(Struct, frozen=True):
    """What an operator asked for. Shape: `rate` as in "10/s"; `drop` forgets the letters instead of
    delivering them.
    """

    id: str
    handler: str
    choice: Choice = EVERYTHING
    rate: str | None = None
    even_if_overtaken: bool = False
    drop: bool = False
    with_waiting: bool = False

    def fields(self) -> dict[str, Any]:
        """Its row."""
        return {
            "v": VERSION,
            "id": self.id,
            "handler": self.handler,
            "choice": self.choice.fields(),
            "rate": self.rate,
            "even_if_overtaken": self.even_if_overtaken,
            "drop": self.drop,
            "with_waiting": self.with_waiting,
        }


def for_another_version(handler: str, fingerprint: str, code_version: str) -> RedriveRequest:
    """What another version of the code asks for, once: the changes that the one before it had failed at
    alike.

    Shape:   the same arguments give the same request, so asking again before it was carried out asks for
             nothing more.
    """
    name = blake2b(f"{handler}/{fingerprint}/{code_version}".encode(), digest_size=8).hexdigest()
    return RedriveRequest(f"version-{name}", handler, Choice(fingerprint=fingerprint))


def read_request(fields: Mapping[str, Any]) -> RedriveRequest:
    """The request behind a row. Raises: StoreError, SettingsError."""
    row = readable(fields, "redrive request")
    return RedriveRequest(
        row["id"],
        row["handler"],
        read_choice(row["choice"]),
        row["rate"],
        row["even_if_overtaken"],
        row["drop"],
        row["with_waiting"],
    )


class RedrivePlan(Struct):
    """What is to be put back.

    Shape:   parked keys, which hold `changes` changes; discarded changes of `items` by their versions,
             `overtaken` ones among them.
    """

    keys: list[bytes] = field(default_factory=list)
    changes: int = 0
    items: dict[bytes, list[Version]] = field(default_factory=dict)
    overtaken: int = 0

    @property
    def letters(self) -> list[Version]:
        """Every discarded change, item by item."""
        return [version for versions in self.items.values() for version in versions]


class Progress(Struct):
    """How far a redrive is: changes by what came of them. `total` is what was chosen when it began."""

    total: int = 0
    done: int = 0
    failed: int = 0
    overtaken: int = 0
    busy: int = 0
    unparked_keys: int = 0
    errors: list[str] = field(default_factory=list)
    stopped: str = ""
