"""Which settings are compared: names and values in words, and the machine's settings that they make.

Rules of this file: pure; a setting has the name that it has where it is declared, of a function AWS's, and
`shards` beside them. What is wrong is refused in words that name it. Read by the command line.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from itertools import product
from math import prod
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from tailrace.errors import SettingsError
from tailrace.mapping.settings import AWS_NAMES, BOUNDS, MappingSettings
from tailrace.planning.core.quantities import whole
from tailrace.planning.core.traffic import MOST_SHARDS

SHARDS: Final = "shards"
MOST_SETTINGS: Final = 200
OF_LANES: Final = frozenset(
    ("BatchSize", "MaximumBatchingWindowInSeconds", "ParallelizationFactor", "TumblingWindowInSeconds")
)
OURS: Final = frozenset(
    (
        "batch_size", "batching_window_ms", "batch_bytes", "concurrency", "keys_at_once", "buffer_records",
        "buffer_bytes", "checkpoint_interval_ms", "max_keys", "max_per_key", "max_ranges",
    )
)  # fmt: skip
SWAPPED: Final = {"concurrency": "ParallelizationFactor", "batch_size": "BatchSize",
                  "batching_window_ms": "MaximumBatchingWindowInSeconds"}  # fmt: skip
"""What does the same in a handler and in a function."""
FORMS: Final = "concurrency=1..8, batch_size=10,100,1000 or shards=1..16..5"


class PlannedSetting(Struct, frozen=True):
    """One combination that is tried. Shape: `values` by the names of the sweep."""

    values: Mapping[str, int]
    settings: MappingSettings
    shards: int

    @property
    def allowed(self) -> int:
        """How many batches may be at the handler at once, over all shards."""
        return self.shards * self.settings.at_once

    @property
    def text(self) -> str:
        """In words."""
        return " ".join(f"{name}={value}" for name, value in self.values.items())


def width_name(settings: MappingSettings) -> str:
    """The setting that says how many batches of one shard may be at the handler at once; "": none does."""
    return {"lane": "ParallelizationFactor", "key": "concurrency", "shard": ""}[settings.order]


def read_sweep(words: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The values of each name. Raises: SettingsError.

    >>> read_sweep(["concurrency=1..3", "batch_size=10,100"])
    {'concurrency': (1, 2, 3), 'batch_size': (10, 100)}
    """
    sweep: dict[str, tuple[int, ...]] = {}
    for word in words:
        name, equals, values = word.partition("=")
        if not equals or not values:
            raise SettingsError(f"sweep: {word!r} names no values; write {FORMS}")
        if name in sweep:
            raise SettingsError(f"sweep: {name} is there twice; name all its values once: {FORMS}")
        sweep[name] = tuple(dict.fromkeys(value for part in values.split(",") for value in _span(name, part)))
    count = prod(len(values) for values in sweep.values())
    if count > MOST_SETTINGS:
        raise SettingsError(
            f"sweep: {count:,} combinations are not allowed; at most {MOST_SETTINGS}",
            hint="fewer values, or steps: ParallelizationFactor=1..10..3",
        )
    return sweep


def _span(name: str, text: str) -> Sequence[int]:
    """One value, or those from one to another, perhaps in steps."""
    numbers = [whole(f"sweep: {name}", part, 0, 1 << 40) for part in text.split("..")]
    match numbers:
        case [value]:
            return (value,)
        case [first, last] if first <= last <= first + 10_000:
            return range(first, last + 1)
        case [first, last, step] if first <= last and step > 0 and (last - first) // step <= 10_000:
            return range(first, last + 1, step)
    raise SettingsError(f"sweep: {name}={text} is no range; write 1..10, or in steps 1..100..10")


def planned_settings(
    base: MappingSettings, shards: int, sweep: Mapping[str, Sequence[int]]
) -> list[PlannedSetting]:
    """Every combination, the last name changing fastest. Raises: SettingsError for a name that this handler
    has not, and for a value out of its bounds.
    """
    for name in sweep:
        _check_name(base, name)
    planned: list[PlannedSetting] = []
    for values in product(*sweep.values()):
        combined = dict(zip(sweep, values, strict=True))
        changes: dict[str, Any] = {}
        for name, value in combined.items():
            if name != SHARDS:
                changes |= _change(base, name, value)
        try:
            settings = replace(base, **changes)
        except SettingsError as error:
            raise SettingsError(f"sweep: {error.args[0]}") from error
        count = combined.get(SHARDS, shards)
        if not 1 <= count <= MOST_SHARDS:
            raise SettingsError(f"sweep: shards: {count} is not allowed; 1 to {MOST_SHARDS:,}")
        planned.append(PlannedSetting(combined, settings, count))
    return planned


def _check_name(base: MappingSettings, name: str) -> None:
    known = {SHARDS, *(OF_LANES | OURS - {"concurrency"} if base.order == "lane" else OURS)}
    if name in known:
        return
    swapped = {**SWAPPED, **{theirs: ours for ours, theirs in SWAPPED.items()}}.get(name)
    if swapped in known:
        raise SettingsError(
            f"sweep: {name} is not of this handler, whose order is {base.order!r}; here it is {swapped}",
            hint=f"--sweep {swapped}=…",
        )
    near = get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    meant = f"did you mean {near[0]}? " if near else ""
    raise SettingsError(f"sweep: {name}: no such setting; {meant}there are {', '.join(sorted(known))}")


def _change(base: MappingSettings, name: str, value: int) -> dict[str, Any]:
    """One of the sweep's settings in the machine's name and unit. Raises: SettingsError."""
    if name in AWS_NAMES:
        try:
            read = MappingSettings.for_lambda(base.id, **{name: value})
        except SettingsError as error:
            raise SettingsError(f"sweep: {error.args[0]}") from error
        return {AWS_NAMES[name]: getattr(read, AWS_NAMES[name])}
    lowest, highest = BOUNDS[name]
    return {name: whole(f"sweep: {name}", str(value), lowest, highest)}
