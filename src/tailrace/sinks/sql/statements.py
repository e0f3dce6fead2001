"""What the core of SQL sinks asks of a database, as values: it yields a statement, and is sent the rows.

Theory of operation: everything that happens in one transaction is one generator. The database's own module
carries the statements out, in a thread or on the loop, begins the transaction before the first and commits
after the last; what the generator raises takes all of it back.
Rules of this file: values alone, no behaviour. Stands alone because every module of the core yields them.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, TypeAlias, TypeVar

from msgspec import Struct

from tailrace.columns.kinds import Family

T = TypeVar("T")


class Ask(Struct, frozen=True):
    """One statement. Answer: its rows, none where it has none."""

    sql: str
    parameters: Sequence[Any] = ()


class StagedColumn(Struct, frozen=True):
    """A column of a staging table. Shape: `values` are as the columns of `columns/batches.py` have them."""

    name: str
    type: str
    family: Family
    values: Sequence[Any]


Parts: TypeAlias = Iterable[Sequence[StagedColumn]]
"""Rows in columns, some after others; one part at least, and all have the same columns. They may be made as
they are taken, so that a target writes some while the next are made; what they raise then takes all back.
"""


class Load(Struct, frozen=True):
    """Make a table that is gone with the transaction, and fill it. Answer: no rows."""

    table: str
    parts: Parts


class LoadNew(Struct, frozen=True):
    """Fill a table that is there with rows that are not. Answer: no rows. It raises `NotNew` when the key of
    one is in the table.
    """

    table: str
    parts: Parts


Statement: TypeAlias = Ask | Load | LoadNew
Rows: TypeAlias = list[tuple[Any, ...]]
Steps: TypeAlias = Generator[Statement, Rows, T]
Begin: TypeAlias = Callable[[bool], Steps[T]]
"""Begins the steps of a transaction. Shape: told whether the sink's tables are its own alone until it ends;
it raises `MustBeAlone` where it is not and has to be.
"""


class MustBeAlone(Exception):
    """What is to be done changes the sink's tables: take everything back, and begin it alone."""


class NotNew(Exception):
    """A row that was written as a new one is there: take everything back, and begin it again with a guard."""


class TakenBack(Exception):
    """Ends a transaction that was only tried: nothing of it stays, but all of it was carried out."""
