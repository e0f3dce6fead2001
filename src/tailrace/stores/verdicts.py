"""What a place for state is found to be, before anything is kept there.

Rules of this file: values only; the words name the place, the hint is a command to type. Made by the stores,
told by `tailrace state create | check` and by whoever opens a store.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from tailrace.errors import SettingsError

Finding: TypeAlias = Literal["ready", "absent", "older", "newer", "foreign"]
"""ready: state can be kept here. absent: nothing is here yet, `create` makes it. older, newer: of a format
that this version does not write. foreign: it belongs to something else.
"""
NEWEST: Final = "install the version of tailrace that made it, or a later one"


class PlaceVerdict(Struct, frozen=True):
    """What a place was found to be. Shape: `target` as it is typed; `words` what was seen, `hint` what to do;
    `figures` of what is kept there, by name.
    """

    target: str
    finding: Finding
    words: str
    hint: str | None = None
    figures: Mapping[str, Any] = {}

    @property
    def is_ready(self) -> bool:
        """Whether state can be kept here."""
        return self.finding == "ready"

    def refuse(self) -> None:
        """Raises: SettingsError unless it is ready."""
        if not self.is_ready:
            raise SettingsError(f"{self.target}: {self.words}", hint=self.hint)
