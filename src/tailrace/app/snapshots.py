"""How whole tables are brought to a sink: `app.sink(orders, …, snapshot=Snapshots(read_units=200))`.

Rules of this file: numbers and texts in, values out; a wrong one is refused where it is written.
Stands alone because users import it, and the app's rooms read it.
"""

import math
from dataclasses import dataclass
from typing import Final

from tailrace.app.retry import milliseconds
from tailrace.errors import SettingsError
from tailrace.tables.costs import ASK_USD, AskBound

KEEP_DELETIONS: Final = "7d"
"""A stream holds a day; whoever replays more says so."""
LEAST_KEPT_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Snapshots:
    """How a sink is given whole tables; `snapshot=True` is `Snapshots()`.

    Shape:   `automatic`: at the first start, after what the stream has lost, and when the table has another
             stream; else only by `tailrace snapshot start`.
    Units:   `read_units` a second that a scan may use, None: as the table gives them. `usd_per_million` read
             units, None: AWS's list price on demand where AWS is read, else nothing. A snapshot that costs
             more than `ask_usd`, or lasts longer than `ask_after` (a duration, as "10m"), is asked for; one
             that nobody has asked for is logged as a warning, and made at its pace. Deletions stay in the
             mirror for `keep_deletions` at the least, "24h" or more.
    Raises:  SettingsError.
    """

    automatic: bool = True
    read_units: float | None = None
    usd_per_million: float | None = None
    ask_usd: float = ASK_USD
    ask_after: str = "10m"
    keep_deletions: str = KEEP_DELETIONS

    def __post_init__(self) -> None:
        for name, least in (("read_units", 1), ("usd_per_million", 0), ("ask_usd", 0)):
            value: object = getattr(self, name)
            if value is None and name != "ask_usd":
                continue
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (is_number and math.isfinite(value) and value >= least):  # type: ignore[arg-type, operator]
                raise SettingsError(
                    f"Snapshots: {name}={value!r} is not allowed; it is a number of {least} or more"
                )
        for name, least_ms in (("ask_after", 0), ("keep_deletions", LEAST_KEPT_MS)):
            if _duration_ms(getattr(self, name)) < least_ms:
                least_words = ", of a day or more" if least_ms else ""
                raise SettingsError(
                    f"Snapshots: {name}={getattr(self, name)!r} is not allowed; it is a duration such as "
                    f"'10m', '24h' or '7d'{least_words}"
                )

    @property
    def bound(self) -> AskBound:
        """What may begin without a question."""
        return AskBound(self.ask_usd, _duration_ms(self.ask_after) / 1_000)

    @property
    def keep_ms(self) -> int:
        """How long deletions are kept."""
        return _duration_ms(self.keep_deletions)


def _duration_ms(text: object) -> int:
    """A duration; below 0 where it is none."""
    try:
        return milliseconds(text)
    except SettingsError:
        return -1


BY_HAND: Final = Snapshots(automatic=False)
"""What a sink that says nothing has: a table is brought to it when a person wants it."""


def snapshots_of(snapshot: object) -> Snapshots:
    """What `app.sink(…, snapshot=…)` means. Raises: SettingsError.

    >>> snapshots_of(True).automatic, snapshots_of(False).automatic
    (True, False)
    """
    if isinstance(snapshot, Snapshots):
        return snapshot
    if not isinstance(snapshot, bool):
        raise SettingsError(f"sink: snapshot={snapshot!r} is not allowed; it is True or Snapshots(…)")
    return Snapshots() if snapshot else BY_HAND
