"""Places for state as people type them: `dynamodb:TABLE`, `postgres://…`, `sqlite:PATH`.

Theory of operation: a target is judged (what is there), made (`create`, only by the command of that name) and
opened. A worker opens and never makes: two of them, or a mistyped name, must not bring a second state about.
Rules of this file: what a target is kept in is said by the modules of the stores; here is what they share.
Called by cli/state.py and by workers.
"""

import json
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

from msgspec import Struct
from msgspec.structs import replace

from tailrace.aws.places import Access
from tailrace.errors import SettingsError
from tailrace.ports import Clock, StateStore
from tailrace.postgresql import shown
from tailrace.runtime.masking import learn
from tailrace.runtime.threads import in_thread
from tailrace.stores.dynamodb import DynamoDbStateStore, format_item
from tailrace.stores.dynamodb_layout import TARGET, named_table
from tailrace.stores.dynamodb_table import create_table, judge_table, table_request
from tailrace.stores.postgresql import SCHEMA as POSTGRES_SCHEMA
from tailrace.stores.postgresql import PostgresStateStore, create_schema, judge_schema
from tailrace.stores.sqlite_state import SCHEMA as SQLITE_SCHEMA
from tailrace.stores.sqlite_state import SqliteStateStore, create_file, judge_file
from tailrace.stores.verdicts import PlaceVerdict

FORMS: Final = "dynamodb:TABLE, postgres://USER@HOST/DATABASE or sqlite:PATH"
POSTGRES_SCHEMES: Final = ("postgres://", "postgresql://")


class StateTarget(Protocol):
    """A place for state."""

    @property
    def text(self) -> str:
        """As it is typed, without a password."""

    def plan(self) -> str:
        """What `create` does where nothing is."""

    async def judge(self) -> PlaceVerdict:
        """What is there. Changes nothing. Raises: StoreError."""

    async def create(self) -> PlaceVerdict:
        """Make it where nothing is. Returns: what is there then. Repeatable. Raises: StoreError."""

    def store(self, clock: Clock, owner: str) -> StateStore:
        """A store over it; nothing is looked at. Shape: `owner` is the incarnation that uses it."""


class DynamoDbTarget(Struct, frozen=True):
    """A table of DynamoDB's."""

    table: str
    access: Access

    @property
    def text(self) -> str:
        """As it is typed."""
        return f"{TARGET}{self.table}"

    def plan(self) -> str:
        """The requests."""
        made = {
            "CreateTable": table_request(self.table),
            "PutItem": {"TableName": self.table, "Item": format_item()},
        }
        return "\n".join(
            f"{operation} {json.dumps(members, indent=2)}" for operation, members in made.items()
        )

    async def judge(self) -> PlaceVerdict:
        """What is there. Raises: StoreError."""
        return self._with_options(await in_thread(judge_table, self.access, self.table))

    async def create(self) -> PlaceVerdict:
        """Make the table where it is not there. Raises: StoreError."""
        return self._with_options(await in_thread(create_table, self.access, self.table))

    def store(self, clock: Clock, owner: str) -> StateStore:
        """Nothing is asked before its first call."""
        return DynamoDbStateStore(self.access, self.table, clock, owner)

    def _with_options(self, verdict: PlaceVerdict) -> PlaceVerdict:
        """The command of a hint, as it has to be typed for this endpoint and region."""
        given = {"--region": self.access.region, "--endpoint": self.access.endpoint_url}
        options = "".join(f" {name} {value}" for name, value in given.items() if value)
        is_command = verdict.hint is not None and verdict.hint.endswith(self.text)
        return replace(verdict, hint=f"{verdict.hint}{options}") if is_command else verdict


class PostgresTarget(Struct, frozen=True):
    """A database of PostgreSQL's."""

    url: str

    @property
    def text(self) -> str:
        """As it is typed, without a password."""
        return shown(self.url)

    def plan(self) -> str:
        """The statements."""
        return "\n".join(f"{statement};" for statement in POSTGRES_SCHEMA)

    async def judge(self) -> PlaceVerdict:
        """What is there. Raises: StoreError."""
        return await judge_schema(self.url)

    async def create(self) -> PlaceVerdict:
        """Make the tables where they are not there. Raises: StoreError."""
        return await create_schema(self.url)

    def store(self, clock: Clock, owner: str) -> StateStore:
        """Nothing is asked before its first call."""
        return PostgresStateStore(self.url)


class SqliteTarget(Struct, frozen=True):
    """A file."""

    path: Path

    @property
    def text(self) -> str:
        """As it is typed."""
        return f"sqlite:{self.path}"

    def plan(self) -> str:
        """The file, and the statements."""
        return "\n".join(
            [f"a file {self.path}, mode 0600", *(f"{statement};" for statement in SQLITE_SCHEMA)]
        )

    async def judge(self) -> PlaceVerdict:
        """What is there. Raises: StoreError."""
        return await in_thread(judge_file, self.path)

    async def create(self) -> PlaceVerdict:
        """Make the file where it is not there. Raises: StoreError."""
        return await in_thread(create_file, self.path)

    def store(self, clock: Clock, owner: str) -> StateStore:
        """Nothing is asked before its first call."""
        return SqliteStateStore(self.path)


def state_target(text: str, *, region: str | None = None, endpoint_url: str | None = None) -> StateTarget:
    """The place that a text names. Raises: SettingsError naming the forms that there are.

    >>> state_target("sqlite:state.db").text
    'sqlite:state.db'
    """
    if (table := named_table(text)) is not None:
        return DynamoDbTarget(table, Access(region, endpoint_url))
    kind, _, rest = text.partition(":")
    is_file = kind == "sqlite" and rest != "" and not rest.startswith("//")
    if not (is_file or text.startswith(POSTGRES_SCHEMES)):
        raise SettingsError(f"{shown(text)!r} names no place for state; write {FORMS}")
    if region is not None or endpoint_url is not None:
        raise SettingsError(f"{shown(text)}: a region and an endpoint are of dynamodb:TABLE", hint=None)
    if not is_file:
        _is_installed(text)
        password = urlsplit(text).password
        learn(password, password and unquote(password))
        return PostgresTarget(text)
    return SqliteTarget(Path(rest).expanduser())


async def open_state(
    text: str, clock: Clock, owner: str, *, region: str | None = None, endpoint_url: str | None = None
) -> StateStore:
    """A store over the place that a text names, for the incarnation `owner`. Raises: SettingsError, with the
    next command, unless it is ready; StoreError when it cannot be reached.
    """
    target = state_target(text, region=region, endpoint_url=endpoint_url)
    (await target.judge()).refuse()
    return target.store(clock, owner)


def _is_installed(text: str) -> None:
    try:
        import psycopg  # noqa: F401 - told before anything else is asked
    except ImportError as error:
        raise SettingsError(
            f"{shown(text)} needs the extra `postgres`",
            hint="pip install '.[postgres]' in the checkout, and start again",
        ) from error
