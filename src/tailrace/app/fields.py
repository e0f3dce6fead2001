"""The fields of a class: of an Item, a dataclass, an attrs class or a pydantic model.

Theory of operation: each kind of class says its fields, their defaults and how one is made of values;
models.py compiles that. A library is recognised by what its classes carry, so that none is imported for a
program that does not use it.
Rules of this file: reading classes only. Called by models.py.
"""

import dataclasses
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, get_args, get_origin, get_type_hints

from tailrace.app.codec import ANY, Attribute, Codec
from tailrace.app.plain import to_attribute, to_plain
from tailrace.errors import SettingsError

MISSING: Final = dataclasses.MISSING
COPIED: Final = (list, dict, set, bytearray)
FIELDS: Final = "__tailrace_fields__"
"""Where an Item class keeps its defaults: a mapping of names to values, MISSING where there is none."""


@dataclass(frozen=True, slots=True)
class RawField:
    """A field before its annotation is read. Shape: `default` makes the value of an absent attribute."""

    name: str
    annotation: Any
    attribute: str
    default: Callable[[], Any] | None = None
    argument: str = ""
    """What the constructor calls it, where that is something else."""
    codec: Codec | None = None
    """What the library itself does with an annotation that Tailrace does not know."""


@dataclass(frozen=True, slots=True)
class ClassFields:
    """A class: its fields, and how an instance is made of values by their arguments' names."""

    fields: tuple[RawField, ...]
    make: Callable[[dict[str, Any]], Any]
    is_item: bool = False
    """Whether it has room for unknown attributes itself."""


def shape_of(cls: Any, names: Mapping[str, Any] | None = None) -> ClassFields | None:
    """What a class is made of; None when it is none of the four kinds. Raises: NameError, SettingsError."""
    if not isinstance(cls, type):
        return None
    if FIELDS in cls.__dict__:
        return _item(cls, names)
    if hasattr(cls, "model_fields") and hasattr(cls, "__pydantic_core_schema__"):
        return _pydantic(cls)
    if hasattr(cls, "__attrs_attrs__"):
        return _attrs(cls, names)
    if dataclasses.is_dataclass(cls):
        return _dataclass(cls, names)
    return None


def hints_of(cls: type, names: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The annotations of a class and its bases, resolved; `names` are those of where it was written.

    Raises:  NameError.
    """
    return get_type_hints(cls, localns=None if names is None else dict(names), include_extras=True)


def annotated_names(cls: type) -> Iterator[str]:
    """What a class itself annotates, without its class variables."""
    for name, annotation in inspect.get_annotations(cls).items():
        origin: Any = get_origin(annotation)
        is_text = isinstance(annotation, str) and "ClassVar" in annotation
        if ClassVar not in (origin, annotation) and not is_text:
            yield name


def attribute_name(annotation: Any, name: str) -> str:
    """What `Annotated[…, Attribute("…")]` says, else the field's own name."""
    if get_origin(annotation) is Annotated:
        for mark in get_args(annotation)[1:]:
            if isinstance(mark, Attribute):
                return mark.name
    return name


def fresh(value: Any) -> Callable[[], Any]:
    """What makes a default: the value itself, or a copy of what could be changed."""
    if isinstance(value, COPIED):
        kind: Any = type(value)
        return (lambda: deepcopy(value)) if value else kind
    return lambda: value


def _item(cls: Any, names: Mapping[str, Any] | None) -> ClassFields:
    defaults: Mapping[str, Any] = cls.__dict__[FIELDS]
    hints = hints_of(cls, names)
    fields = [
        RawField(
            name,
            hints[name],
            attribute_name(hints[name], name),
            None if default is MISSING else fresh(default),
        )
        for name, default in defaults.items()
    ]

    create = object.__new__

    def make(values: dict[str, Any]) -> Any:
        made = create(cls)
        made.__dict__ = values
        return made

    return ClassFields(tuple(fields), make, is_item=True)


def _dataclass(cls: type, names: Mapping[str, Any] | None) -> ClassFields:
    hints = hints_of(cls, names)
    fields = []
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        default: Callable[[], Any] | None = None
        if field.default_factory is not MISSING:
            default = field.default_factory
        elif field.default is not MISSING:
            default = fresh(field.default)
        annotation = hints[field.name]
        fields.append(RawField(field.name, annotation, attribute_name(annotation, field.name), default))
    return ClassFields(tuple(fields), lambda values: cls(**values))


def _attrs(cls: Any, names: Mapping[str, Any] | None) -> ClassFields:
    hints = hints_of(cls, names)
    fields = []
    for field in cls.__attrs_attrs__:
        if not field.init:
            continue
        annotation = hints.get(field.name, Any)
        made = field.default
        default: Callable[[], Any] | None = None
        if type(made).__name__ == "Factory":
            default = _needs_self if made.takes_self else made.factory
        elif type(made).__name__ != "_Nothing":
            default = fresh(made)
        argument = field.alias or field.name
        fields.append(
            RawField(field.name, annotation, attribute_name(annotation, field.name), default, argument)
        )
    return ClassFields(tuple(fields), lambda values: cls(**values))


def _needs_self() -> Any:
    """A default that only the constructor can make: models leave the argument out."""
    return MISSING


def _pydantic(cls: Any) -> ClassFields:
    fields = []
    for name, info in cls.model_fields.items():
        default: Callable[[], Any] | None = None
        if info.default_factory is not None:
            needs_others = getattr(info, "default_factory_takes_validated_data", False)
            default = _needs_self if needs_others else info.default_factory
        elif not info.is_required():
            default = fresh(info.default)
        annotation = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
        renamed = attribute_name(annotation, "")
        alias = info.validation_alias if isinstance(info.validation_alias, str) else info.alias
        attribute = renamed or info.serialization_alias or alias or name
        fields.append(RawField(name, annotation, attribute, default, alias or name, _by_pydantic(annotation)))
    return ClassFields(tuple(fields), cls.model_validate)


def _by_pydantic(annotation: Any) -> Codec:
    """What pydantic alone knows (an address of the web, a colour …), as it would write it in JSON."""
    pydantic = sys.modules["pydantic"]
    made: list[Any] = []

    def adapter() -> Any:
        if not made:
            made.append(pydantic.TypeAdapter(annotation))
        return made[0]

    def encode(value: Any) -> dict[str, Any]:
        return to_attribute(adapter().dump_python(value, mode="json"))

    def decode(value: dict[str, Any]) -> Any:
        return adapter().validate_python(to_plain(value))

    return dataclasses.replace(ANY, words=str(annotation), encode=encode, decode=decode)


def check_names(cls: type, taken: Mapping[str, str]) -> None:
    """Refuse field names that mean something else. Raises: SettingsError."""
    for name in annotated_names(cls):
        if name.startswith("_"):
            raise SettingsError(
                f"{cls.__name__}.{name}: a field's name begins with a letter; "
                f"{name}: ClassVar[…] is no field, and Annotated[…, Attribute({name!r})] names the attribute"
            )
        if name in taken:
            raise SettingsError(
                f"{cls.__name__}.{name}: {cls.__name__}.{name} already means {taken[name]}; call the field "
                f"something else and name its attribute: {name}_: Annotated[…, Attribute({name!r})]"
            )
