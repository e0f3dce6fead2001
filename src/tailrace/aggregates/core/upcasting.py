"""Events of earlier schemas become those of today: one step a version, each a function of plain values.

Rules of this file: pure. The newest schema version of a type is one more than its last upcaster's; a step
that is missing is refused when the aggregate is first used, not when an old event is met.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from tailrace.errors import ItemError, SettingsError

Plain: TypeAlias = dict[str, Any]
Upcaster: TypeAlias = Callable[[Plain], Plain]
FIRST: Final = 1


class Step(NamedTuple):
    """One upcaster. Shape: `into` is the type that it makes, in its first schema; "": the same type, the next
    schema.
    """

    upcaster: Upcaster
    into: str = ""


class Upcasts:
    """The upcasters of one aggregate."""

    def __init__(self, types: Iterable[str]) -> None:
        self.types = frozenset(types)
        self._steps: dict[tuple[str, int], Step] = {}

    @property
    def functions(self) -> tuple[Upcaster, ...]:
        """Every upcaster, in the order of types and versions."""
        return tuple(self._steps[key].upcaster for key in sorted(self._steps))

    @property
    def old(self) -> list[tuple[str, int]]:
        """Every type and schema version that is no longer written."""
        return sorted(self._steps)

    def add(self, type: str, schema: int, step: Step) -> None:
        """Enter an upcaster from this schema version. Raises: SettingsError."""
        if schema < FIRST:
            raise SettingsError(f"upcast: {schema!r} is not allowed; the first schema version is {FIRST}")
        if (type, schema) in self._steps:
            raise SettingsError(f"upcast: {type} {schema} has an upcaster already")
        if step.into and step.into not in self.types:
            raise SettingsError(f"upcast: {type} {schema} into {step.into!r}: {self._known()}")
        if step.into and type in self.types:
            raise SettingsError(
                f"upcast: {type!r} is an event of today, and cannot become {step.into!r}: leave it out of "
                f"events="
            )
        if not step.into and type not in self.types:
            raise SettingsError(
                f"upcast: {type!r} is no event of today: {self._known()}; into=… says which one it has become"
            )
        self._steps[type, schema] = step

    def check(self) -> None:
        """Require every step between the first schema and today's. Raises: SettingsError."""
        for name, schema in self._steps:
            if schema > FIRST and (name, schema - 1) not in self._steps:
                raise SettingsError(
                    f"upcast: {name} has an upcaster from schema {schema} and none from {schema - 1}"
                )

    def newest(self, type: str) -> int:
        """The schema version in which a type is written."""
        schema = FIRST
        while (step := self._steps.get((type, schema))) is not None and not step.into:
            schema += 1
        return schema

    def upcast(self, place: str, type: str, schema: int, data: Mapping[str, Any]) -> tuple[str, Plain]:
        """The type and the fields of today. Shape: `place` names the event in errors. Raises: ItemError."""
        now, plain = type, dict(data)
        while (step := self._steps.get((now, schema))) is not None:
            plain = step.upcaster(plain)
            if not isinstance(plain, dict):
                raise ItemError(
                    f"{place}: the upcaster of {now} {schema} returned {plain!r}, which is no dict"
                )
            now, schema = (step.into, FIRST) if step.into else (now, schema + 1)
        if now not in self.types:
            raise ItemError(f"{place}: {now!r} is an unknown event: {self._known()}")
        if schema != self.newest(now):
            raise ItemError(
                f"{place}: {now} has schema {schema}, and this code knows {self.newest(now)}: it was "
                f"written by "
                "newer code, which is to read it"
            )
        return now, plain

    def _known(self) -> str:
        return f"its events are {', '.join(sorted(self.types))}"
