"""How long a handler takes: for a change, for a call, or for both.

Theory of operation: a handler of `app.on` is called for one change after the other, so its batch takes the
sum over its changes; one of `app.batch`, a function or a sink is called once for a batch. What a change or a
call takes is drawn by its number, so it is the same whatever the settings are: two settings of a sweep differ
by nothing but themselves.
Rules of this file: pure; no chance but a hash. Read by interpreter.py.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import exp, log
from statistics import NormalDist
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from tailrace.errors import SettingsError
from tailrace.planning.core.quantities import length_us
from tailrace.streams.record import ChangeRecord

Unit: TypeAlias = Literal["change", "call"]
STEPS: Final = 4_096
"""So many equal parts of the distribution are drawn from."""
FORMS: Final = "20ms, exp:20ms, p50=10ms,p99=200ms, 50ms/call+1ms/change"
_MIXED: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1


class Duration(Struct, frozen=True):
    """A distribution of lengths of time: `STEPS` of its quantiles, ascending. Units: microseconds."""

    text: str
    quantiles: tuple[int, ...]

    @property
    def mean_us(self) -> float:
        """On average."""
        return sum(self.quantiles) / len(self.quantiles)

    def at(self, number: int, seed: int) -> int:
        """What the thing with this number takes."""
        quantiles = self.quantiles
        if len(quantiles) == 1:
            return quantiles[0]
        return quantiles[(((number + seed) * _MIXED) & _MASK) * len(quantiles) >> 64]


def constant(text: str, us: int) -> Duration:
    """Always the same."""
    return Duration(text, (us,))


def read_duration(text: str) -> Duration:
    """A distribution in words. Raises: SettingsError.

    >>> read_duration("20ms").mean_us, round(read_duration("exp:20ms").mean_us / 1_000)
    (20000.0, 20)
    """
    words = text.strip()
    if words.startswith("exp:"):
        mean = length_us("duration", words.removeprefix("exp:"))
        middles = ((step + 0.5) / STEPS for step in range(STEPS))
        return Duration(text, tuple(round(-log(1 - middle) * mean) for middle in middles))
    if "=" in words:
        return _between_percentiles(text)
    return constant(text, length_us("duration", words))


def _between_percentiles(text: str) -> Duration:
    """What goes through two percentiles as a log-normal distribution does: durations of calls have such a
    tail.
    """
    points: dict[float, int] = {}
    for part in text.split(","):
        name, _, length = part.partition("=")
        digits = name.strip().removeprefix("p")
        share = float(f"0.{digits}") if digits.isascii() and digits.isdigit() else 0.0
        if not (name.strip().startswith("p") and 0 < share < 1 and len(digits) > 1):
            raise SettingsError(f"duration: {part!r} is no percentile; write p50=10ms,p99=200ms")
        points[share] = length_us("duration", length)
    ordered = sorted(points.items())
    if len(ordered) != 2 or not 0 < ordered[0][1] <= ordered[1][1]:
        raise SettingsError(
            f"duration: {text!r} is not allowed; it is two percentiles, the higher one no shorter: "
            "p50=10ms,p99=200ms"
        )
    (low, low_us), (high, high_us) = ordered
    normal = NormalDist()
    spread = (log(high_us) - log(low_us)) / (normal.inv_cdf(high) - normal.inv_cdf(low))
    middle = log(low_us) - spread * normal.inv_cdf(low)
    steps = (normal.inv_cdf((step + 0.5) / STEPS) for step in range(STEPS))
    return Duration(text, tuple(round(exp(middle + spread * step)) for step in steps))


def of_histogram(text: str, counts: Mapping[int, int], beyond: int, total_us: int) -> Duration:
    """What was measured in buckets.

    Shape:   `counts` by the upper bound of a bucket; `beyond` are those above the last one. Inside a bucket
             lengths are spread evenly, then all are scaled so that their mean is the measured one.
    Units:   bounds in milliseconds; total_us of all calls together.
    """
    bounds = sorted(counts)
    edges = [0, *bounds, max(bounds[-1] * 2, 1)]
    sums = list(accumulate([*(counts[bound] for bound in bounds), beyond]))
    values: list[float] = []
    bucket = 0
    for step in range(STEPS):
        rank = (step + 0.5) / STEPS * sums[-1]
        while sums[bucket] < rank:
            bucket += 1
        below = sums[bucket - 1] if bucket else 0
        part = (rank - below) / (sums[bucket] - below)
        values.append((edges[bucket] + part * (edges[bucket + 1] - edges[bucket])) * 1_000)
    scale = (total_us / sums[-1]) / max(sum(values) / STEPS, 1e-9)
    return Duration(text, tuple(round(value * scale) for value in values))


class ServiceTimes(Struct, frozen=True):
    """What a batch takes: so much for the call, and so much for each of its changes. Shape: None: nothing."""

    per_call: Duration | None = None
    per_change: Duration | None = None
    seed: int = 0

    @property
    def text(self) -> str:
        """In words, as it is read."""
        parts = ((self.per_call, "call"), (self.per_change, "change"))
        return " + ".join(f"{part.text} a {noun}" for part, noun in parts if part is not None)

    def mean_us(self, batch: float) -> float:
        """On average, of a batch of so many changes."""
        return sum(
            (
                0.0 if self.per_call is None else self.per_call.mean_us,
                0.0 if self.per_change is None else self.per_change.mean_us * batch,
            )
        )

    def spread(self) -> float:
        """How much longer than the mean the slowest percent of its parts is: 1 where all are alike."""
        longest = 1.0
        for part in (self.per_call, self.per_change):
            if part is not None and part.mean_us:
                longest = max(longest, part.quantiles[len(part.quantiles) * 99 // 100] / part.mean_us)
        return longest

    def of(self, records: Sequence[ChangeRecord]) -> int:
        """What this batch takes. Units: microseconds."""
        taken, seed = 0, self.seed
        if self.per_call is not None:
            taken = self.per_call.at(records[0].sequence, seed) if records else self.per_call.quantiles[0]
        if self.per_change is not None:
            quantiles = self.per_change.quantiles
            if len(quantiles) == 1:
                return taken + quantiles[0] * len(records)
            count = len(quantiles)
            taken += sum(
                [quantiles[(((record.sequence + seed) * _MIXED) & _MASK) * count >> 64] for record in records]
            )
        return taken


def read_service(text: str, unit: Unit, seed: int = 0) -> ServiceTimes:
    """Service times in words. Shape: `unit` is what a length without one is for. Raises: SettingsError.

    >>> read_service("50ms/call+1ms/change", "call").mean_us(10)
    60000.0
    """
    parts: dict[str, Duration] = {}
    for part in text.split("+"):
        words, _, named = part.strip().partition("/")
        noun = named or unit
        if noun not in ("call", "change"):
            raise SettingsError(f"duration: {part!r}: it is for a call or a change; write {FORMS}")
        if noun in parts:
            raise SettingsError(f"duration: {text!r} says twice what a {noun} takes")
        parts[noun] = read_duration(words)
    return ServiceTimes(parts.get("call"), parts.get("change"), seed)
