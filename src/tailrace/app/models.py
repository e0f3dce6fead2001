"""A class compiled: an item into an instance of it, and back.

Theory of operation: `model_of(cls)` reads the class once (fields.py), makes a codec of each field (codec.py)
and lays both ways out as flat loops over them: that is what every change pays. Attributes that the class does
not know are kept beside the instance, so that writing it back loses nothing.
Rules of this file: an item that does not fit is an ItemError that names class, field and value.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from weakref import ref

from tailrace.app.codec import MISFITS, NULL, Codec, Member, UnknownAnnotation, codec_of
from tailrace.app.fields import MISSING, ClassFields, RawField, fresh, shape_of
from tailrace.errors import ApiError, ItemError, SettingsError
from tailrace.values.types import AttributeValue, Item
from tailrace.values.wire import read_item

EXTRA: Final = "__extra__"
"""Where an Item keeps what its class does not know."""
MODEL: Final = "__tailrace_model__"
"""Where a class keeps its model once it is made: as long as the class lives."""
_COMPILING: Final[set[Any]] = set()
NO_EXTRA: Final[Mapping[str, AttributeValue]] = {}


@dataclass(frozen=True, slots=True)
class ModelField:
    """A field, ready. Shape: `absent` makes the value of an absent attribute, None where it must be there."""

    name: str
    attribute: str
    argument: str
    codec: Codec
    absent: Callable[[], Any] | None
    is_left_out: Callable[[Any], bool] | None
    """Which values are left out: None or an empty set, where an absent attribute reads as the same."""


class _Extras:
    """Unknown attributes of instances that have no room of their own: by identity, as long as they live."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Any, Mapping[str, AttributeValue]]] = {}

    def keep(self, instance: Any, extra: Mapping[str, AttributeValue]) -> None:
        place = id(instance)
        try:
            self._kept[place] = (ref(instance, lambda _: self._kept.pop(place, None)), extra)
        except TypeError:
            return  # a slotted class without __weakref__: docs/items.md says that it keeps none

    def of(self, instance: Any) -> Mapping[str, AttributeValue]:
        entry = self._kept.get(id(instance))
        return NO_EXTRA if entry is None or entry[0]() is not instance else entry[1]


_EXTRAS: Final = _Extras()


class ModelCodec:
    """Both ways of one class. Made by `model_of`."""

    def __init__(self, cls: type, shape: ClassFields, fields: tuple[ModelField, ...]) -> None:
        self.cls = cls
        self.fields: Mapping[str, ModelField] = {field.name: field for field in fields}
        self.attributes: Mapping[str, ModelField] = {field.attribute: field for field in fields}
        self._make = shape.make
        self._is_item = shape.is_item
        self._reading = [
            (field.attribute, field.argument, field.codec.decode, field.absent) for field in fields
        ]
        self._nullable = [
            (field.attribute, field.argument, field.is_left_out)
            for field in fields
            if field.is_left_out is not None
        ]
        self._writing = [
            (field.name, field.attribute, field.codec.encode, field.is_left_out) for field in fields
        ]

    def decode(self, item: Item, computed: frozenset[str] = frozenset()) -> Any:
        """An instance of the class.

        Shape:   `computed` are key attributes that are made of fields.
        Raises:  ItemError.
        """
        values: dict[str, Any] = {}
        known = 0
        attribute = ""
        try:
            for attribute, argument, read, absent in self._reading:
                value = item.get(attribute)
                if value is not None:
                    values[argument] = read(value)
                    known += 1
                elif absent is None:
                    raise KeyError(attribute)
                elif (default := absent()) is not MISSING:
                    values[argument] = default
        except ItemError as error:
            raise ItemError(f"{self.cls.__name__}.{attribute}: {error.args[0]}") from error
        except MISFITS as error:
            raise self._misfit(attribute, item) from error
        extra = None
        if known + len(computed) != len(item):
            extra = {
                name: value
                for name, value in item.items()
                if name not in self.attributes and name not in computed
            }
        return self._made(values, item, extra)

    def _made(self, values: dict[str, Any], item: Item, extra: dict[str, AttributeValue] | None) -> Any:
        for attribute, argument, is_left_out in self._nullable:
            # Stored as NULL, where this class would write nothing: kept, so that it stays what it is.
            if attribute in item and is_left_out(values[argument]):
                extra = {**(extra or {}), attribute: item[attribute]}
        if self._is_item:
            if extra:
                values[EXTRA] = extra
            return self._make(values)
        try:
            made = self._make(values)
        except (ValueError, TypeError) as error:
            raise ItemError(f"{self.cls.__name__} refuses {item!r}: {error}") from error
        if extra:
            _EXTRAS.keep(made, extra)
        return made

    def _misfit(self, attribute: str, item: Item) -> ItemError:
        field = self.attributes[attribute]
        name = f"{self.cls.__name__}.{field.name}"
        if attribute not in item:
            return ItemError(
                f"{name}: the item has no attribute {attribute!r}; give the field a default if it "
                "may be absent"
            )
        return ItemError(f"{name}: {item[attribute]!r} is no {field.codec.words}")

    def encode(self, instance: Any) -> Item:
        """The item of an instance, with what was unknown when it was read. Raises: ItemError."""
        if not isinstance(instance, self.cls):
            raise ItemError(f"{instance!r} is no {self.cls.__name__}")
        item: Item = dict(self.extra_of(instance))
        name = ""
        try:
            for name, attribute, write, is_left_out in self._writing:
                value = getattr(instance, name)
                if is_left_out is None or not is_left_out(value):
                    item[attribute] = write(value)
        except (*MISFITS, SettingsError) as error:
            raise ItemError(f"{self.cls.__name__}.{name}: {error}") from error
        return item

    def extra_of(self, instance: Any) -> Mapping[str, AttributeValue]:
        """The attributes that the class does not know, as they were read."""
        if self._is_item:
            extra: Mapping[str, AttributeValue] = instance.__dict__.get(EXTRA, NO_EXTRA)
            return extra
        return _EXTRAS.of(instance)

    def attribute_value(self, name: str, value: Any) -> AttributeValue | None:
        """One field's value, None where it is left out. Raises: ItemError, also for a field that is none."""
        field = self.field(name)
        if field.is_left_out is not None and field.is_left_out(value):
            return None
        try:
            return read_item({field.attribute: field.codec.encode(value)})[field.attribute]
        except ApiError as error:
            raise ItemError(f"{self.cls.__name__}.{name}: {value!r}: {error.message}") from error
        except (*MISFITS, SettingsError) as error:
            raise ItemError(f"{self.cls.__name__}.{name}: {error}") from error

    def field(self, name: str) -> ModelField:
        """A field by its name. Raises: ItemError with the nearest one."""
        field = self.fields.get(name)
        if field is None:
            raise ItemError(f"{self.cls.__name__} has no field {name!r}; {nearest(name, self.fields)}")
        return field


def nearest(name: str, names: Iterable[str]) -> str:
    """Words for a slip of the pen."""
    from difflib import get_close_matches  # imported for the message only: it is not light

    near = get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"it has {', '.join(names)}"


def model_of(cls: Any, names: Mapping[str, Any] | None = None) -> ModelCodec | None:
    """The model of a class, compiled once; None when it is no class with fields.

    Shape:   `names` are known where the class was written (a function's own classes).
    Raises:  SettingsError naming the field; NameError for an annotation that is not defined yet.
    """
    if isinstance(cls, type) and MODEL in cls.__dict__:
        model: ModelCodec = cls.__dict__[MODEL]
        return model
    shape = shape_of(cls, names)
    if shape is None:
        return None
    _COMPILING.add(cls)
    try:
        made = ModelCodec(cls, shape, tuple(_field(cls, raw) for raw in shape.fields))
    finally:
        _COMPILING.discard(cls)
    setattr(cls, MODEL, made)
    return made


def _field(cls: type, raw: RawField) -> ModelField:
    try:
        codec = codec_of(raw.annotation, model_codec)
    except UnknownAnnotation as error:
        if raw.codec is None:
            raise SettingsError(f"{cls.__name__}.{raw.name}: {error.args[0]}") from error
        codec = raw.codec
    absent, leaves_out = raw.default, codec.leaves_out
    if leaves_out is None:
        return ModelField(raw.name, raw.attribute, raw.argument or raw.name, codec, absent, None)
    if absent is None:
        empty = codec.decode(NULL)
        absent = fresh(empty)
    default = absent()
    is_left_out = None
    if default is not MISSING and leaves_out(default):

        def is_left_out(value: Any) -> bool:
            return leaves_out(value) and bool(value == default)

    return ModelField(raw.name, raw.attribute, raw.argument or raw.name, codec, absent, is_left_out)


def model_codec(cls: Any) -> Codec | None:
    """A model inside another one: a map."""
    if cls in _COMPILING:
        return Codec(
            frozenset(("M",)),
            cls.__name__,
            lambda value: {"M": cls.__dict__[MODEL].encode(value)},
            lambda value: cls.__dict__[MODEL].decode(value["M"]),
        )
    model = model_of(cls)
    if model is None:
        return None
    members = {
        name: Member(field.attribute, field.codec, field.absent) for name, field in model.fields.items()
    }
    return Codec(
        frozenset(("M",)),
        cls.__name__,
        lambda value: {"M": model.encode(value)},
        lambda value: model.decode(value["M"]),
        members=members,
    )
