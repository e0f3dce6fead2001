"""`class Order(Item, table=shop, pk="ORDER#{id}", sk="META")`: a class whose instances are items.

Theory of operation: annotations are the fields, as in a dataclass; `Order.status` on the class is the field
(for predicates), on an instance its value. A class without a table is a model to be used inside others.
Rules of this file: declaring only; reading and writing is models.py, keys are entity.py.
"""

import sys
from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final, dataclass_transform

from tailrace.app.entity import Entity, field_path
from tailrace.app.fields import COPIED, FIELDS, MISSING, annotated_names, check_names
from tailrace.app.models import nearest
from tailrace.app.table import Changes, Table
from tailrace.errors import SettingsError

ENTITY: Final = "__tailrace_entity__"
TAKEN: Final = {
    "inserted": "its insertions",
    "modified": "its modifications",
    "removed": "its removals",
    "mro": "the order of its bases",
}


class _ItemClass(type):
    """The class of Item classes: it knows the fields, and what handlers are declared on."""

    @property
    def inserted(cls) -> Changes[Entity[Any]]:
        """The changes that made one."""
        return entity_of(cls).inserted

    @property
    def modified(cls) -> Changes[Entity[Any]]:
        """The changes of one that was there and still is."""
        return entity_of(cls).modified

    @property
    def removed(cls) -> Changes[Entity[Any]]:
        """The changes that removed one."""
        return entity_of(cls).removed

    if not TYPE_CHECKING:  # a type checker sees the annotated fields, and shall see no others

        def __getattr__(cls, name: str) -> Any:
            if name.startswith("_") or name not in cls.__dict__.get(FIELDS, ()):
                known = cls.__dict__.get(FIELDS, ())
                raise AttributeError(f"{cls.__name__} has no field {name!r}; {nearest(name, known)}")
            return field_path(entity_of(cls), name)


@dataclass_transform(kw_only_default=True)
class Item(metaclass=_ItemClass):
    """A class of items.

    Shape:   fields by keyword, `Order(id="o1")`; equal when class, fields and unknown attributes are.

    >>> class Address(Item):
    ...     city: str
    ...     zip: str = ""
    >>> Address(city="Delft")
    Address(city='Delft', zip='')
    """

    __hash__ = None  # type: ignore[assignment]

    def __init_subclass__(
        cls,
        *,
        table: Table | None = None,
        pk: str | None = None,
        sk: str | None = None,
        keys: Mapping[str, str] | None = None,
    ) -> None:
        super().__init_subclass__()
        _collect(cls)
        if table is None:
            if pk is not None or sk is not None or keys is not None:
                raise SettingsError(
                    f"{cls.__name__}: a key without a table: class {cls.__name__}(Item, table=…, pk=…)"
                )
            return
        frame = sys._getframe(1)
        names = frame.f_locals if frame.f_code.co_name != "<module>" else None
        setattr(cls, ENTITY, declare(cls, table, pk, sk, names, keys))

    def __init__(self, **values: Any) -> None:
        cls, own = type(self), self.__dict__
        defaults: Mapping[str, Any] = cls.__dict__[FIELDS]
        for name, default in defaults.items():
            if name in values:
                own[name] = values.pop(name)
            elif default is MISSING:
                raise TypeError(f"{cls.__name__}: {name}= is missing")
            else:
                own[name] = deepcopy(default) if isinstance(default, COPIED) else default
        for name in values:
            raise TypeError(f"{cls.__name__} has no field {name!r}; {nearest(name, defaults)}")

    def __repr__(self) -> str:
        own = self.__dict__
        shown = ", ".join(f"{name}={own[name]!r}" for name in type(self).__dict__[FIELDS] if name in own)
        return f"{type(self).__name__}({shown})"

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == other.__dict__ if type(other) is type(self) else NotImplemented


def _collect(cls: type) -> None:
    """Note the fields of a class and its bases, in order; their defaults leave the class."""
    check_names(cls, TAKEN)
    fields: dict[str, Any] = {}
    for base in reversed(cls.__mro__[1:]):
        fields.update(base.__dict__.get(FIELDS, {}))
    for name in annotated_names(cls):
        fields[name] = cls.__dict__.get(name, MISSING)
        if name in cls.__dict__:
            delattr(cls, name)
    setattr(cls, FIELDS, fields)


def declare(
    cls: type[Any],
    table: Table,
    pk: str | None,
    sk: str | None,
    names: Mapping[str, Any] | None = None,
    keys: Mapping[str, str] | None = None,
) -> Entity[Any]:
    """Enter a class into a table. Raises: SettingsError, for what is known to be wrong now."""
    entity: Entity[Any] = Entity(cls, table, pk, sk, names, keys)
    try:
        entity.try_compile()
    except SettingsError:
        table.entities.discard(entity)
        raise
    return entity


def entity_of(cls: type) -> Entity[Any]:
    """The entity of an Item class. Raises: SettingsError when it has no table."""
    entity: Entity[Any] | None = cls.__dict__.get(ENTITY)
    if entity is None:
        raise SettingsError(
            f"{cls.__name__} is in no table: class {cls.__name__}(Item, table=shop, "
            f"pk='{cls.__name__.upper()}#{{id}}')"
        )
    return entity
