"""Which entity an item is of: of the tables that keep several, one table a entity in the target.

Theory of operation: the rules are learned once (inference.py), kept in the target, and never change by
themselves; by them an item says alone of which entity it is, so a restart sorts as before. In order: a class
that the app declares; the attribute that names the type, where the table has one; the templates of its keys:
literals and slots, as `ORDER#{}` and `LINE#{}`. What fits none is of `_other`; where there is no rule at all,
all items are of one entity, that of the table.
Rules of this file: an item with its keys in, a name out. Only the attribute can make an item change its
entity under the same key; other rules look at nothing but keys.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from tailrace.columns.kinds import Kind
from tailrace.columns.naming import EVERYWHERE, OTHER, Naming
from tailrace.columns.schema import Column, TableColumns, read_kept, write_kept
from tailrace.values.types import Item

TYPE_ATTRIBUTES: Final = ("__typename", "__edb_e__", "_et", "entity", "entityType", "_type", "type")
"""What frameworks and people call the attribute that names an item's type."""
LONGEST_TYPE: Final = 40
SEPARATORS: Final = "#|/:"
NUL: Final = "\0"
KeyParts: TypeAlias = tuple[str | None, ...]
"""The segments of a key up to the last literal, None where they vary; what follows a last None is free."""


def separator_of(key: str) -> str:
    """What separates the segments of a key: the first of `#|/:` that is in it, else nothing."""
    return next((separator for separator in SEPARATORS if separator in key), "")


class KeyTemplate(Struct, frozen=True):
    """What a key attribute looks like: `ORDER#{}` is `("ORDER", None)` with the separator `#`.

    Shape:   a slot takes one segment; the last one takes all that is left, separators too.
    """

    separator: str
    parts: KeyParts

    @property
    def literals(self) -> tuple[str, ...]:
        """The segments that stand in every key of it."""
        return tuple(part for part in self.parts if part)

    @property
    def pattern(self) -> str:
        """A regular expression that whole keys of it match."""
        one = f"[^{re.escape(self.separator)}]*" if self.separator else ".*"
        made = [one if part is None else re.escape(part) for part in self.parts]
        if self.parts[-1] is None:
            made[-1] = ".*"
        return re.escape(self.separator).join(made)

    def matches(self, key: str) -> bool:
        """Whether a whole key is of it."""
        return re.fullmatch(self.pattern, key, re.DOTALL) is not None

    def __str__(self) -> str:
        return self.separator.join("{}" if part is None else part for part in self.parts)


ANY_KEY: Final = KeyTemplate("", (None,))


class KeyedEntity(Struct, frozen=True):
    """An entity that its keys tell: a template for every key attribute, the partition key first."""

    name: str
    templates: tuple[KeyTemplate, ...]

    @property
    def weight(self) -> int:
        """How much of its keys is literal. Units: characters."""
        return sum(len(literal) for template in self.templates for literal in template.literals)

    def __str__(self) -> str:
        return ", ".join(map(str, self.templates))


class DeclaredEntity(Struct, frozen=True):
    """An entity that the app declares as a class (app/columns.py makes it).

    Shape:   `key_words` are its templates, for people; `fits` says of keys whether they are its own. `kinds`
             are those of its fields, by attribute and in their order.
    """

    name: str
    key_words: str
    fits: Callable[[Item], bool]
    kinds: dict[str, Kind]


class EntityRules(Struct, frozen=True, dict=True):
    """How a table's items are told apart.

    Shape:   `table` is the name of the only entity where there are no rules. `attribute` names the type, in
             texts of at most 40 characters. `declared` are names and templates of classes: they are kept so
             that a target can be asked whether it was filled by the same.
    """

    table: str
    keys: tuple[str, ...]
    attribute: str | None = None
    templates: tuple[KeyedEntity, ...] = ()
    declared: tuple[tuple[str, str], ...] = ()

    def as_json(self) -> str:
        """What is kept in the target. Where it differs from what is kept there, rows of one item can be in
        two tables: a reset, with its sweep, is needed before the new rules are used.
        """
        return write_kept(self)

    @classmethod
    def from_json(cls, text: str) -> "EntityRules":
        """What `as_json` wrote. Raises: SettingsError for another format, or a text that is none."""
        return read_kept(text, cls)

    @property
    def has_rules(self) -> bool:
        """Whether there can be more than one entity."""
        return bool(self.attribute or self.templates or self.declared)

    @cached_property
    def _ranked(self) -> list[KeyedEntity]:
        """Those with more literal characters first: of two that fit the first one says more."""
        return sorted(self.templates, key=lambda entity: (-entity.weight, entity.name))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """All keys of a table at once, a group for every entity; NUL stands between the keys."""
        made = [NUL.join(template.pattern for template in entity.templates) for entity in self._ranked]
        return re.compile("|".join(f"({pattern})" for pattern in made), re.DOTALL)

    def by_keys(self, item: Item) -> str:
        """The entity that templates say, `_other` when they say none."""
        if not self.templates:
            return OTHER
        # Numbers and binaries are keys of no literal: only a slot takes them.
        texts = [item[key].get("S", "") for key in self.keys]
        joined = NUL.join(texts)
        if joined.count(NUL) == len(texts) - 1:
            match = self._pattern.fullmatch(joined)
            return OTHER if match is None else self._ranked[(match.lastindex or 1) - 1].name
        for entity in self._ranked:
            if all(map(KeyTemplate.matches, entity.templates, texts)):
                return entity.name
        return OTHER


class EntitySorter:
    """The rules at work, with the classes that the app declares: they come before what was learned."""

    def __init__(self, rules: EntityRules, declared: Sequence[DeclaredEntity] = ()) -> None:
        words = tuple((entity.name, entity.key_words) for entity in declared)
        self.rules = msgspec.structs.replace(rules, declared=words)
        self._declared = tuple(declared)

    def of(self, item: Item) -> str:
        """The name of the entity of a whole item. Raises: KeyError for an item without its keys."""
        for entity in self._declared:
            if entity.fits(item):
                return entity.name
        rules = self.rules
        if rules.attribute is not None:
            value = item.get(rules.attribute, {}).get("S", "")
            if 0 < len(value) <= LONGEST_TYPE:
                return str(value)
        return rules.by_keys(item) if rules.has_rules else rules.table

    def key_words(self, name: str) -> str:
        """What tells an entity, for people."""
        for entity in self._declared:
            if entity.name == name:
                return entity.key_words
        for keyed in self.rules.templates:
            if keyed.name == name:
                return str(keyed)
        attribute = self.rules.attribute
        return f"{attribute} = {name}" if attribute is not None and name != OTHER else ""

    def is_told_by_keys(self) -> bool:
        """Whether an item keeps its entity as long as it keeps its key.

        Else a change needs both images: `left_by` says from which table the row goes. A sink that was given
        no old image has to make a tombstone of the key in the tables of all other entities.
        """
        return self.rules.attribute is None

    def left_by(self, old: Item | None, new: Item | None) -> str | None:
        """The entity in whose table the key gets a tombstone of the same version: that of the old image,
        where the item is gone or is of another now.
        """
        if old is None:
            return None
        before = self.of(old)
        return None if new is not None and self.of(new) == before else before

    def rows_of(self, items: Sequence[Item]) -> dict[str, list[int]]:
        """Entity → places in `items`, in their order."""
        rules = self.rules
        if not rules.has_rules:
            return {rules.table: list(range(len(items)))} if items else {}
        rows: dict[str, list[int]] = {}
        for place, item in enumerate(items):
            rows.setdefault(self.of(item), []).append(place)
        return rows

    def new_tables(
        self, names: Iterable[str], naming: Naming = EVERYWHERE, taken: Iterable[str] = ()
    ) -> dict[str, TableColumns]:
        """Entity → the columns of a table that is not there yet; `taken` are names of tables that are.

        A declared class has the columns of its fields at once, others those of the items that come.
        """
        wanted = list(names)
        tables = {**naming.names([name for name in wanted if name != OTHER], list(taken)), OTHER: OTHER}
        return {name: self._new_table(name, tables[name], naming) for name in wanted}

    def _new_table(self, entity: str, table: str, naming: Naming) -> TableColumns:
        kinds = next((known.kinds for known in self._declared if known.name == entity), {})
        names = naming.names(kinds, first=self.rules.keys)
        columns = tuple([Column(names[attribute], attribute, kind) for attribute, kind in kinds.items()])
        return TableColumns(table, entity, self.rules.keys, columns[: naming.columns], naming=naming)
