"""What a target knows of a sink: which entities it has, their columns, the numbers of sources.

Theory of operation: the target's own is the truth, and every transaction reads it first: another process may
have let a table grow. A table that must grow does so alone: everything that was done is taken back and begun
again with the sink's tables locked, so that no two transactions wait for each other in a circle.
Rules of this file: steps of a transaction. The tables `tailrace_schemas`, `tailrace_sources`,
`tailrace_positions` and `tailrace_keys` are shared by all sinks of a schema, which have rows of their own by
`name`. Layout: docs/formats/sql.md.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct, field

from tailrace.app.columns import declared_entities
from tailrace.app.item import entity_of
from tailrace.columns.entities import EntityRules, EntitySorter
from tailrace.columns.inference import learn_rules
from tailrace.columns.naming import OTHER
from tailrace.columns.schema import TableColumns
from tailrace.errors import SettingsError
from tailrace.leases.generation import BEFORE, check_kept
from tailrace.sinks.sql.dialect import KEY, VERSION, SqlDialect
from tailrace.sinks.sql.statements import Ask, MustBeAlone, Steps
from tailrace.streams.version import FIRST_GENERATION
from tailrace.values.types import Item

SCHEMAS: Final = "tailrace_schemas"
SOURCES: Final = "tailrace_sources"
POSITIONS: Final = "tailrace_positions"
KEYS: Final = "tailrace_keys"
MOST_TABLES: Final = 200
"""Of one sink. The items of further entities are in `_other`."""
RULES: Final = ""
"""The row with a sink's rules has no entity."""


class Kept(Struct, frozen=True):
    """What the target knows of a sink. Shape: `texts` as they stand there; `tables` by entity."""

    texts: Mapping[str, str] = field(default_factory=dict)
    rules: EntityRules | None = None
    tables: Mapping[str, TableColumns] = field(default_factory=dict)


class SinkCatalog:
    """The tables of one sink.

    Shape:   `table` is the name of its only one, which begins with the columns of the class `item`; without a
             name it has one for each entity, those of the classes of the item's table by their names.
    """

    def __init__(
        self, dialect: SqlDialect, place: str, table: str = "", item: type[Any] | None = None
    ) -> None:
        self.dialect = dialect
        self.name = table
        self._place = place
        self._kept = Kept()
        declared = [] if item is None else declared_entities(entity_of(item).table)
        self._declared = () if table else tuple(declared)
        self._kinds = next((one.kinds for one in declared if item and one.name == item.__name__), {})

    def made(self) -> Steps[None]:
        """Make the shared tables. Repeatable."""
        text, number = self.dialect.text_type, self.dialect.families["int64"]
        for table, columns, key in (
            (SCHEMAS, f"name {text}, entity {text}, kept {text}", "name, entity"),
            (SOURCES, f"name {text}, source {text}, generation {number}", "name, source"),
            (
                POSITIONS,
                f"name {text}, mapping {text}, stream {text}, shard {text}, epoch {number}, watermark {text}"
                f", commits {number}, changes {number}",
                "name, mapping, stream, shard",
            ),
        ):
            place = self.dialect.place(table)
            yield Ask(f"CREATE TABLE IF NOT EXISTS {place} ({columns}, PRIMARY KEY ({key}))")
        if not self.name:
            yield from self._made_keys()

    # ---- sources -------------------------------------------------------------------------------------------

    def sources(self) -> Steps[dict[str, int]]:
        """The numbers of sources that are kept; those of before there were numbers where there are rows."""
        mark, place = self.dialect.mark, self.dialect.place(SOURCES)
        rows = yield Ask(f"SELECT source, generation FROM {place} WHERE name = {mark}", [self.name])
        if rows:
            return {str(source): int(generation) for source, generation in rows}
        return {BEFORE: FIRST_GENERATION} if (yield from self._has_rows()) else {}

    def _has_rows(self) -> Steps[bool]:
        kept = yield from self.kept()
        for table in kept.tables.values():
            if (yield Ask(f"SELECT 1 FROM {self.dialect.rows(table)} LIMIT 1")):
                return True
        return False

    def keep_sources(self, sources: Mapping[str, int]) -> Steps[None]:
        """Keep these too. Raises: SettingsError naming source and numbers."""
        known = yield from self.sources()
        check_kept(self._place, known, sources)
        mark, place = self.dialect.mark, self.dialect.place(SOURCES)
        for source, generation in sources.items():
            if source not in known:
                yield Ask(
                    f"INSERT INTO {place} (name, source, generation) VALUES ({mark}, {mark}, {mark})",
                    [self.name, source, generation],
                )

    # ---- columns -------------------------------------------------------------------------------------------

    def kept(self) -> Steps[Kept]:
        """What the target knows now. Raises: SettingsError for what cannot be read."""
        place = self.dialect.place(SCHEMAS)
        rows = yield Ask(f"SELECT entity, kept FROM {place} WHERE name = {self.dialect.mark}", [self.name])
        texts: dict[str, str] = dict(rows)
        if texts != self._kept.texts:
            rules = texts.get(RULES)
            tables = {name: TableColumns.from_json(text) for name, text in texts.items() if name != RULES}
            self._kept = Kept(texts, None if rules is None else EntityRules.from_json(rules), tables)
        return self._kept

    def entities(
        self, kept: Kept, source: str, keys: tuple[str, ...], items: Sequence[Item], *, alone: bool
    ) -> Steps[EntitySorter]:
        """How items are told apart; learned from these where the target does not know it yet.

        Shape:   `source` is the DynamoDB table that they are of.
        Raises:  SettingsError when another table's items are there.
        """
        rules = kept.rules
        if rules is None:
            if not alone:
                raise MustBeAlone
            rules = EntityRules(self.name, keys)
            if not self.name:
                rules = learn_rules(items, source, keys, self._declared)
        if set(rules.keys) != set(keys) or rules.table != (self.name or source):
            raise SettingsError(
                f"{self._place} has the items of {rules.table!r} with the key {', '.join(rules.keys)}; these "
                f"are of {source!r} with the key {', '.join(keys)}",
                hint="give the sink of this table another table, or another schema",
            )
        entities = EntitySorter(rules, self._declared)
        text = entities.rules.as_json()
        if text != kept.texts.get(RULES):
            if not alone:
                raise MustBeAlone
            yield from self._write(RULES, text, is_new=RULES not in kept.texts)
        return entities

    def table(self, tables: Mapping[str, TableColumns], entities: EntitySorter, name: str) -> TableColumns:
        """An entity's columns; those of a table to be made where there is none yet."""
        if name not in tables and len(tables) >= MOST_TABLES:
            name = OTHER
        if (table := tables.get(name)) is not None:
            return table
        naming = self.dialect.naming
        if self.name:
            return TableColumns(self.name, name, entities.rules.keys, naming=naming).grown(dict(self._kinds))
        taken = [table.name for table in tables.values()]
        return entities.new_tables([name], naming, taken)[name]

    def grown(self, kept: Kept, table: TableColumns, *, alone: bool) -> Steps[None]:
        """Let the target have these columns. Raises: MustBeAlone when it lacks some and we are not."""
        there = kept.tables.get(table.entity)
        if there == table:
            return
        if not alone:
            raise MustBeAlone
        if there is None:
            for statement in self.dialect.made(table):
                yield Ask(statement)
            yield from self.dialect.shown(table)
        elif changes := table.changes_from(there):
            yield from self.dialect.grown(table, changes)
        yield from self._write(table.entity, table.as_json(), is_new=there is None)

    def adopted(self, rules: EntityRules, table: TableColumns) -> Steps[None]:
        """Take over a table of rows that is there already."""
        yield from self._write(RULES, rules.as_json(), is_new=True)
        yield from self.dialect.shown(table)
        yield from self._write(table.entity, table.as_json(), is_new=True)

    def _write(self, entity: str, text: str, *, is_new: bool) -> Steps[None]:
        mark, place = self.dialect.mark, self.dialect.place(SCHEMAS)
        if is_new:
            statement = f"INSERT INTO {place} (kept, name, entity) VALUES ({mark}, {mark}, {mark})"
        else:
            statement = f"UPDATE {place} SET kept = {mark} WHERE name = {mark} AND entity = {mark}"
        yield Ask(statement, [text, self.name, entity])

    def _made_keys(self) -> Steps[None]:
        """The table that says of each key in which table its row is."""
        dialect = self.dialect
        columns = f"{KEY} {dialect.key_type} PRIMARY KEY, {VERSION} {dialect.version_type}"
        text = dialect.text_type
        yield Ask(
            f"CREATE TABLE IF NOT EXISTS {dialect.place(KEYS)} ({columns}, entity {text}, before {text})"
        )
