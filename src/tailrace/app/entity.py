"""An entity: a class in a table, told apart from the table's others by its key templates.

Rules of this file: a key is made of fields and read back into them; of two entities of a table that one
key could fit the second is refused. Called by item.py (`class Order(Item, table=…)`) and by `App.entity`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar

from tailrace.app.codec import MISFITS
from tailrace.app.field_path import FieldPath
from tailrace.app.index import key_types
from tailrace.app.key_part import KeyPart
from tailrace.app.models import ModelCodec, model_of
from tailrace.app.plain import to_plain
from tailrace.app.table import EVENTS, Changes, Table, key_names
from tailrace.app.templates import Template, overlap, parse_template
from tailrace.errors import ApiError, ItemError, SettingsError
from tailrace.streams.record import EventName
from tailrace.values.types import AttributeValue, Item
from tailrace.values.wire import read_item

T = TypeVar("T")


class Entity(Generic[T]):
    """A class in a table. Shape: `inserted`, `modified`, `removed` are what handlers are declared on,
    `entity["field"]` what predicates are made of. Made by `class Order(Item, table=…)` or `App.entity`.
    """

    def __init__(
        self,
        cls: type[T],
        table: Table,
        pk: str | None,
        sk: str | None,
        names: Mapping[str, Any] | None = None,
        keys: Mapping[str, str] | None = None,
    ) -> None:
        if not isinstance(table, Table):
            raise SettingsError(
                f"{cls.__name__}: table={table!r} is no table: app.table('orders', pk='id') makes one"
            )
        self.cls = cls
        self.table = table
        self._names = names
        self._compiled: ModelCodec | None = None
        self.templates: dict[str, Template] = {}
        for attribute, text in zip(key_names(table), (pk, sk), strict=False):
            self.templates[attribute] = self._template(attribute, text)
        self.index_templates = {name: self._template(name, text) for name, text in (keys or {}).items()}
        for name in self.index_templates:
            if name in self.templates or name not in key_types(table):
                raise SettingsError(
                    f"{self}: keys={{{name!r}: …}}: {name!r} is no key of an index of table {table.name!r}; "
                    f"app.table(…, indexes={{'by_country': Index({name!r})}}) declares one"
                )
        if sk is not None and table.sk is None:
            raise SettingsError(
                f"{self}: sk={sk!r}, but table {table.name!r} has no sort key: app.table(…, sk='sk') "
                "declares one"
            )
        self._join()

    def __repr__(self) -> str:
        return self.cls.__name__

    def _template(self, attribute: str, text: str | None) -> Template:
        try:
            return parse_template("{" + attribute + "}" if text is None else text)
        except SettingsError as error:
            raise SettingsError(f"{self}: {error.args[0]}") from error

    def _join(self) -> None:
        for other in self.table.entities:
            if other.cls is self.cls:
                raise SettingsError(f"{self} is declared twice in table {self.table.name!r}")
            keys = {name: overlap(self.templates[name], other.templates[name]) for name in self.templates}
            if all(key is not None for key in keys.values()):
                shown = ", ".join(f"{name}={key!r}" for name, key in keys.items())
                raise SettingsError(
                    f"{self} and {other} cannot be told apart in table {self.table.name!r}: the key {shown} "
                    f"fits both ({self.key_words} and {other.key_words}); begin their templates differently, "
                    "as in 'ORDER#{id}'"
                )
        self.table.entities.add(self)

    @property
    def key_words(self) -> str:
        """The templates, for people."""
        return ", ".join(template.text for template in self.templates.values())

    # ---- the model -----------------------------------------------------------------------------------------

    @property
    def model(self) -> ModelCodec:
        """The class compiled. Raises: SettingsError."""
        if self._compiled is None:
            self._compile()
        assert self._compiled is not None
        return self._compiled

    @property
    def parts(self) -> list[KeyPart]:
        """The key attributes. Raises: SettingsError."""
        _ = self.model
        return self._parts

    def try_compile(self) -> None:
        """Refuse now what is wrong; an annotation that is not defined yet waits for the first use.

        Raises:  SettingsError.
        """
        try:
            model_of(self.cls, self._names)
        except NameError:
            return
        self._compile()

    def _compile(self) -> None:
        try:
            model = model_of(self.cls, self._names)
        except NameError as error:
            raise SettingsError(
                f"{self}: {error}: an annotation names what is not defined; define or import it "
                f"before the first handler of {self}"
            ) from error
        if model is None:
            raise SettingsError(
                f"{self} is no class with fields: make it an Item, a dataclass, an attrs class or a "
                "pydantic model"
            )
        types = key_types(self.table)
        try:
            self._parts = [
                KeyPart(name, types[name], template, model) for name, template in self.templates.items()
            ]
            self.index_parts = [
                KeyPart(name, types[name], template, model, may_lack=True)
                for name, template in self.index_templates.items()
            ]
        except SettingsError as error:
            raise SettingsError(f"{self}: {error.args[0]}") from error
        self._computed = frozenset(
            part.attribute
            for part in (*self._parts, *self.index_parts)
            if part.attribute not in model.attributes
        )
        self._check_index_fields(model, types)
        self._check_attributes(model)
        self.key_fields = tuple(dict.fromkeys(name for part in self._parts for name in part.codecs))
        self.key_attributes = tuple(model.fields[name].attribute for name in self.key_fields)
        self._write_ttl_in_seconds(model)
        self._compiled = model

    def _check_index_fields(self, model: ModelCodec, types: Mapping[str, str]) -> None:
        """Refuse a field that is a key of an index and has another type than the key, or may be NULL."""
        for attribute in types.keys() - self.templates.keys():
            field = model.attributes.get(attribute)
            if field is None:
                continue
            kinds = field.codec.kinds - {"NULL"}
            if kinds != {types[attribute]}:
                raise SettingsError(
                    f"{self}.{field.name} is {field.codec.words} ({', '.join(sorted(kinds))}), and the "
                    f"attribute {attribute!r} is a key of type {types[attribute]} of an index: give the "
                    f"index that type, as in Index({attribute!r}, pk_type='N')"
                )
            if "NULL" in field.codec.kinds and field.is_left_out is None:
                raise SettingsError(
                    f"{self}.{field.name} may be None and would be kept as NULL, which no index "
                    "takes as a key: let None be its default"
                )

    def _check_attributes(self, model: ModelCodec) -> None:
        if len(model.attributes) < len(model.fields):
            raise SettingsError(
                f"{self}: two fields are kept in one attribute; give one of them another Attribute(…)"
            )
        for part in (*self._parts, *self.index_parts):
            field = model.attributes.get(part.attribute)
            if field is not None and part.template.text != "{" + field.name + "}":
                raise SettingsError(
                    f"{self}.{field.name} is kept in the key attribute {part.attribute!r}, whose template is "
                    f"{part.template.text!r}; call the field something else, or make the template "
                    f"'{{{field.name}}}'"
                )

    def _write_ttl_in_seconds(self, model: ModelCodec) -> None:
        field = model.attributes.get(self.table.ttl or "")
        if field is not None and "N" not in field.codec.kinds:
            raise SettingsError(
                f"{self}.{field.name} is {field.codec.words}, and the table's TTL attribute holds a number "
                f"of seconds: {field.name}: Epoch (from tailrace import Epoch) is a datetime kept so"
            )

    @property
    def key_pattern(self) -> bytes | None:
        """A pattern of its keys' JSON without escapes; None when fields must be read to know.

        Raises:  SettingsError.
        """
        if any(part.has_checks for part in self.parts):
            return None
        return b"\\{%b\\}" % b",".join([part.json_pattern for part in self.parts])

    # ---- both ways -----------------------------------------------------------------------------------------

    def fits(self, keys: Item) -> bool:
        """Whether a key is of this entity."""
        # A list: a generator costs as much as the test, and there are one or two.
        return all([part.fits(keys.get(part.attribute)) for part in self._parts])  # noqa: C419

    def decode(self, item: Item) -> T:
        """An instance. Raises: ItemError."""
        for attribute in self.key_attributes:
            if attribute not in item:
                item = {**self.from_key(item), **item}
                break
        decoded: T = self.model.decode(item, self._computed)
        return decoded

    def encode(self, instance: T) -> Item:
        """The item with its key, canonical. Raises: ItemError."""
        item = self.model.encode(instance)
        for part in self._parts:
            item[part.attribute] = self._key_value(part, instance)
        for part in self.index_parts:
            if all(getattr(instance, name) is not None for name in part.codecs):
                item[part.attribute] = self._key_value(part, instance)
        return self._canonical(item)

    def key_item(self, fields: Mapping[str, Any]) -> Item:
        """The key of these fields. Raises: ItemError when one is missing."""
        _ = self.model
        for name in self.key_fields:
            if name not in fields:
                raise ItemError(f"{self}: {name}= is missing: the key {self.key_words} is made of it")
        return self._canonical({part.attribute: self._formatted(part, fields) for part in self._parts})

    def diff(
        self, old: Any, new: Any, raw_old: Item, raw_new: Item, attributes: Iterable[str]
    ) -> dict[str, tuple[Any, Any]]:
        """Field → (before, after) of these attributes; what the class lacks as plain values."""
        differences: dict[str, tuple[Any, Any]] = {}
        for attribute in attributes:
            if attribute in self._computed:
                continue
            field = self.model.attributes.get(attribute)
            if field is None:
                before, after = (
                    None if attribute not in raw else to_plain(raw[attribute]) for raw in (raw_old, raw_new)
                )
                differences[attribute] = (before, after)
            else:
                differences[field.name] = (getattr(old, field.name, None), getattr(new, field.name, None))
        return differences

    def split(self, fields: Mapping[str, Any]) -> tuple[Item, dict[str, AttributeValue | None]]:
        """The key of these fields, and the others as attributes (None: left out). Raises: ItemError."""
        others = [name for name in fields if name not in self.model.fields or name not in self.key_fields]
        changes = {
            self.model.field(name).attribute: self.model.attribute_value(name, fields[name])
            for name in others
        }
        for part in self.index_parts:
            if not part.codecs.keys().isdisjoint(others):
                changes[part.attribute] = self._index_value(part, fields)
        return self.key_item(fields), changes

    def _index_value(self, part: KeyPart, fields: Mapping[str, Any]) -> AttributeValue | None:
        """A key of an index after an update of these fields. Raises: ItemError when it depends on others."""
        lacking = [name for name in part.codecs if name not in fields]
        if lacking:
            raise ItemError(
                f"{self}: the key {part.attribute!r} of an index is made of {', '.join(part.codecs)} "
                f"({part.template.text!r}): give {', '.join(lacking)} too, so that it stays right"
            )
        if any(fields[name] is None for name in part.codecs):
            return None
        return self._formatted(part, fields)

    def has_key(self, attribute: str) -> bool:
        """Whether its items have this key attribute, of the table or of an index."""
        return attribute in self.model.attributes or self._part(attribute) is not None

    def key_made_of(self, attribute: str) -> tuple[str, ...]:
        """The fields that a key attribute, of the table or of an index, is made of, in order."""
        part = self._part(attribute)
        if part is not None:
            return part.template.fields
        field = self.model.attributes.get(attribute)
        return () if field is None else (field.name,)

    def key_value(self, attribute: str, fields: Mapping[str, Any]) -> AttributeValue:
        """The value of a key attribute, of the table or of an index, for these fields. Raises: ItemError."""
        part = self._part(attribute)
        if part is not None:
            return self._formatted(part, fields)
        name = self.model.attributes[attribute].name
        value = self.model.attribute_value(name, fields[name])
        if value is None:
            raise ItemError(f"{self}.{name}: {fields[name]!r} is left out of the item, and no key can be it")
        return value

    def key_prefix(self, attribute: str, fields: Mapping[str, Any]) -> str:
        """How a key attribute of these fields begins; nothing when that is not known. Raises: ItemError."""
        part = self._part(attribute)
        try:
            return "" if part is None else part.prefix(fields)
        except (*MISFITS, ApiError) as error:
            raise ItemError(f"{self}: key {attribute!r}: {error}") from error

    def _part(self, attribute: str) -> KeyPart | None:
        return next((part for part in (*self.parts, *self.index_parts) if part.attribute == attribute), None)

    def key_of(self, keys: Item) -> Any:
        """The value of its key's field, of several a tuple; the key itself where it is made of no field."""
        attributes = self.from_key(keys)
        values = tuple(
            self.model.fields[name].codec.decode(attributes[attribute])
            for name, attribute in zip(self.key_fields, self.key_attributes, strict=True)
        )
        if not values:
            values = tuple(next(iter(value.values())) for value in keys.values())
        return values[0] if len(values) == 1 else values

    def from_key(self, item: Item) -> Item:
        """The attributes of the fields that an item's key is made of, as the key says them."""
        attributes: Item = {}
        for part in self._parts:
            for name, value in (part.parse(item.get(part.attribute)) or {}).items():
                attributes[self.model.fields[name].attribute] = value
        return attributes

    def _key_value(self, part: KeyPart, instance: Any) -> AttributeValue:
        return self._formatted(part, {name: getattr(instance, name) for name in part.codecs})

    def _formatted(self, part: KeyPart, values: Mapping[str, Any]) -> AttributeValue:
        try:
            return part.format(values)
        except ItemError as error:
            raise ItemError(f"{self}.{error.args[0]}") from error
        except (*MISFITS, ApiError) as error:
            raise ItemError(f"{self}: key {part.template.text!r}: {error}") from error

    def _canonical(self, item: Item) -> Item:
        try:
            return read_item(item)
        except ApiError as error:
            raise ItemError(f"{self}: {error.message}") from error

    # ---- what handlers are declared on ---------------------------------------------------------------------

    @property
    def changes(self) -> "Changes[Entity[Any]]":
        """Its insertions, modifications and removals."""
        return self._changes(*EVENTS)

    @property
    def inserted(self) -> "Changes[Entity[Any]]":
        """Those that are new."""
        return self._changes("INSERT")

    @property
    def modified(self) -> "Changes[Entity[Any]]":
        """Those that were there and still are."""
        return self._changes("MODIFY")

    @property
    def removed(self) -> "Changes[Entity[Any]]":
        """Those that are gone."""
        return self._changes("REMOVE")

    def _changes(self, *events: EventName) -> "Changes[Entity[Any]]":
        return Changes(self.table, events, self)

    def __getitem__(self, name: str) -> Any:
        """A field, as predicates take it. Raises: SettingsError."""
        return field_path(self, name)


def field_path(entity: Entity[Any], name: str) -> FieldPath:
    """One field of an entity, for predicates. Raises: SettingsError."""
    try:
        field = entity.model.field(name)
    except ItemError as error:
        raise SettingsError(str(error.args[0])) from error
    return FieldPath(entity, (field.name,), (field.attribute,), field.codec, field.absent)
