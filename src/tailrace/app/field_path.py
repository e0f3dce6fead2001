"""A field as predicates name it: `Order.status`, `Order.address.city`.

Rules of this file: names only; what is asked of them is in predicates.py. A comparison of the field itself is
refused: before or after the change is what `old(…)` and `new(…)` say. Called by entity.py and item.py.
"""

from collections.abc import Callable
from functools import reduce
from typing import Any, NoReturn, Protocol

from tailrace.app.codec import Codec
from tailrace.app.models import nearest
from tailrace.errors import SettingsError
from tailrace.values.types import Item


class Keyed(Protocol):
    """What a field is of: an entity, as far as the field asks it."""

    key_attributes: tuple[str, ...]

    def from_key(self, item: Item) -> Item:
        """The attributes that an item's key holds."""


class FieldPath:
    """A field of an entity, or a field of a model inside it.

    Shape:   `path` are the attributes on the way to it, `absent` makes what stands for it where the attribute
             is not there; `outer` are the same makers of the models around it, the outermost first.
    """

    __slots__ = ("_absent", "_codec", "_entity", "_names", "_outer", "_path")

    def __init__(
        self,
        entity: Keyed,
        names: tuple[str, ...],
        path: tuple[str, ...],
        codec: Codec,
        absent: Callable[[], Any] | None,
        outer: tuple[Callable[[], Any] | None, ...] = (),
    ) -> None:
        self._entity = entity
        self._names = names
        self._path = path
        self._codec = codec
        self._absent = absent
        self._outer = outer

    def __repr__(self) -> str:
        return ".".join((repr(self._entity), *self._names))

    def __getattr__(self, name: str) -> "FieldPath":
        members = self._codec.members
        if name.startswith("_") or members is None or name not in members:
            known = f"; {nearest(name, members)}" if members else f": it is {self._codec.words}"
            raise AttributeError(f"{self!r} has no field {name!r}{known}")
        inner = members[name]
        return FieldPath(
            self._entity,
            (*self._names, name),
            (*self._path, inner.attribute),
            inner.codec,
            inner.absent,
            (*self._outer, self._absent),
        )

    @property
    def _defaults(self) -> tuple[Callable[[], Any] | None, ...]:
        """By depth: what makes the value where the attribute at that depth is absent, if anything."""
        return tuple(
            None if make is None else _inside(make, self._names[depth + 1 :])
            for depth, make in enumerate((*self._outer, self._absent))
        )

    @property
    def _is_of_key(self) -> bool:
        """Whether it is read from the item's key where it is not stored beside it."""
        return len(self._path) == 1 and self._path[0] in self._entity.key_attributes

    def _refuse(self, *_: object) -> NoReturn:
        raise SettingsError(
            f"{self!r} is the field, not its value: write new({self!r}) for the value after the "
            f"change, old({self!r}) for the one before"
        )

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __bool__ = __contains__ = __and__ = __or__ = __invert__ = _refuse
    __hash__ = object.__hash__


def _inside(make: Callable[[], Any], names: tuple[str, ...]) -> Callable[[], Any]:
    """What makes the field of a default; it raises AttributeError where a model on the way is None."""
    return (lambda: reduce(getattr, names, make())) if names else make
