"""From when on a stream tells a mapping everything: how far exports have to reach before they may be a
snapshot.

Theory of operation: what exports do not tell must come from the stream. A mapping is given every change from
the latest of these moments on: so long before now as streams hold records and mirrors deletions, when the
newest stream began, where the mapping began, and behind everything that it lost. Clocks of DynamoDB, of its
streams and of workers differ, so exports have to reach past it by a margin.
Rules of this file: pure. Units: *_ms since the epoch. Called by run/exporting.py. Source: growth §4, ADR 65.
Stands alone because what is enough is decided here, and who asks for it elsewhere.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from tailrace.streams.dates import label, micros_of

MARGIN_MS: Final = 300_000
"""By so much clocks may differ; AWS's own pipelines allow for as much."""


class TellingSince(Struct, frozen=True, order=True):
    """The moment from which on every change reaches the mapping. Shape: `why` says what makes it so late."""

    at_ms: int
    why: str

    @property
    def needed_us(self) -> int:
        """Up to where exports have to tell the table, or further. Units: µs since the epoch."""
        return (self.at_ms + MARGIN_MS) * 1_000


def horizon(
    now_ms: int, reach_ms: int, stream: str | None, since_ms: int | None, lost_ms: Iterable[int]
) -> TellingSince:
    """Where it is.

    Shape:   `stream` is the label of the newest stream, which is the time at which it began; `since_ms` is
             where the mapping began to read, None: at the oldest record; `lost_ms` are the ends of all gaps,
             acknowledged or not, 0: not known.
    Units:   reach_ms, how long a record stays readable, and a deletion known.

    >>> horizon(1_795_860_000_000, 86_400_000, "2026-11-27T09:00:00.000", None, []).why
    'the stream holds 24 hours'
    >>> horizon(1_795_860_000_000, 86_400_000, "2026-11-28T11:00:00.000", None, []).why
    'the stream began at 2026-11-28T11:00:00.000Z'
    """
    moments = [TellingSince(now_ms - reach_ms, f"the stream holds {reach_ms / 3_600_000:,.4g} hours")]
    if stream is not None:
        moments.append(_began(stream, now_ms))
    if since_ms is not None:
        moments.append(TellingSince(since_ms, f"the mapping reads from {label(since_ms)}Z on"))
    for known_ms in lost_ms:
        until_ms = known_ms or now_ms
        moments.append(TellingSince(until_ms, f"changes until {label(until_ms)}Z are lost: tailrace gaps"))
    return max(moments)


def _began(stream: str, now_ms: int) -> TellingSince:
    """When a stream began, by its label; one that tells no time may have begun now."""
    try:
        return TellingSince(micros_of(f"{stream}Z") // 1_000, f"the stream began at {stream}Z")
    except ValueError:
        return TellingSince(now_ms, f"stream {stream} does not tell when it began")
