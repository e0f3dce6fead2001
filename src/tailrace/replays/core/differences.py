"""In what the effects of two revisions of a handler differ, grouped: what happened how often, for example.

Theory of operation: effects of one change that go to the same place under the same key are compared in their
order; between places there is none. What differs is a group: the handler, the kind, the place, what became of
it and which attributes. Of a change of which one revision leaves something unknown nothing is compared: it is
counted, by the call that nothing answers.
Rules of this file: pure; the groups are the same in whatever order changes come.
"""

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from msgspec import Struct, field

from tailrace.replays.core.effects import ReplayedChange, ReplayEffect

Happened: TypeAlias = Literal["only before", "only now", "changed"]
WHOLE: Final = ""
"""The path of a body that is no object."""
MOST_GROUPS: Final = 1_000
OTHERS: Final = "(others)"


class GroupName(NamedTuple):
    """What makes differences one group. Shape: `attributes` are the paths of the body that differ, sorted;
    none where the effect is there in one revision only.
    """

    handler: str
    kind: str
    target: str
    happened: Happened
    attributes: tuple[str, ...]


class EffectDifference(Struct, frozen=True):
    """One effect that is not the same. Shape: None where a revision does not have it."""

    name: GroupName
    change: ReplayedChange
    before: ReplayEffect | None
    now: ReplayEffect | None


class EffectGroup(Struct, frozen=True):
    """Differences that are alike, with the first of them."""

    name: GroupName
    count: int
    example: EffectDifference


class EffectComparison(Struct):
    """What two revisions of a handler differ in, as far as it was compared.

    Shape:   `compared` counts changes, or windows, `unknown` those that were not, by the call that nothing
             answers. `windows` are those of either revision; None: changes were compared.
    """

    compared: int = 0
    unknown: dict[str, int] = field(default_factory=dict)
    groups: dict[GroupName, EffectGroup] = field(default_factory=dict)
    windows: int | None = None

    @property
    def differs(self) -> bool:
        """Whether there is a difference."""
        return bool(self.groups)

    def ordered(self) -> list[EffectGroup]:
        """The groups, the most frequent first."""
        return sorted(self.groups.values(), key=lambda group: (-group.count, group.name))

    def add(self, difference: EffectDifference) -> None:
        """Count one in its group; beyond a bound groups of one kind are one."""
        name = difference.name
        if name not in self.groups and len(self.groups) >= MOST_GROUPS:
            name = name._replace(target=OTHERS, attributes=())
        group = self.groups.get(name)
        if group is None:
            self.groups[name] = EffectGroup(name, 1, difference)
        else:
            example = min(group.example, difference, key=_place)
            self.groups[name] = EffectGroup(name, group.count + 1, example)

    def compare(self, handler: str, before: ReplayedChange | None, now: ReplayedChange | None) -> None:
        """Take in one change: what either revision did for it; None: nothing."""
        unknown = (before.unknown if before is not None else "") or (now.unknown if now is not None else "")
        if unknown:
            self.unknown[unknown] = self.unknown.get(unknown, 0) + 1
            return
        self.compared += 1
        for difference in differences(handler, before, now):
            self.add(difference)


def differences(
    handler: str, before: ReplayedChange | None, now: ReplayedChange | None
) -> Iterator[EffectDifference]:
    """The effects of one change that are not the same."""
    change = now or before
    assert change is not None
    earlier, later = (_by_place(one) for one in (before, now))
    for place in sorted({*earlier, *later}):
        for one, other in zip_longest(earlier.get(place, ()), later.get(place, ())):
            happened: Happened = "changed"
            attributes: tuple[str, ...] = ()
            if one is None or other is None:
                happened = "only now" if one is None else "only before"
            elif one.body == other.body or not (attributes := tuple(differing(one.value, other.value))):
                continue
            name = GroupName(handler, place[0], place[1], happened, attributes)
            yield EffectDifference(name, change, one, other)


def differing(one: Any, other: Any, path: str = WHOLE) -> Iterator[str]:
    """The paths at which two JSON values are not the same, by dots; lists are compared whole.

    >>> list(differing({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}, "d": 4}))
    ['a.c', 'd']
    """
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            inner = f"{path}.{name}" if path else name
            if name not in one or name not in other:
                yield inner
            else:
                yield from differing(one[name], other[name], inner)
    elif type(one) is not type(other) or one != other:
        yield path


def paired(
    before: Iterator[ReplayedChange], now: Iterator[ReplayedChange]
) -> Iterator[tuple[ReplayedChange | None, ReplayedChange | None]]:
    """The changes, or windows, of two runs side by side, by their order. Shape: both rise; a run leaves out
    changes for which nothing was done, and has its own windows.

    Raises:  ValueError where one place is not the same change in both.
    """
    one, other = next(before, None), next(now, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one.order < other.order):
            yield one, None
            one = next(before, None)
        elif one is None or other.order < one.order:
            yield None, other
            other = next(now, None)
        else:
            if one.window is None and (one.version, one.key) != (other.version, other.key):
                raise ValueError(f"change {one.place} is {one.key} in one run and {other.key} in the other")
            yield one, other
            one, other = next(before, None), next(now, None)


def _by_place(change: ReplayedChange | None) -> Mapping[tuple[str, str, str], list[ReplayEffect]]:
    places: dict[tuple[str, str, str], list[ReplayEffect]] = {}
    for effect in () if change is None else change.effects:
        places.setdefault((effect.kind, effect.target, effect.key), []).append(effect)
    return places


def _place(difference: EffectDifference) -> tuple[Any, ...]:
    bodies = [effect.body for effect in (difference.before, difference.now) if effect is not None]
    return difference.change.order, difference.change.version, difference.change.key, bodies
