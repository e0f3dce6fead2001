"""The Data API as a door to Redshift: signed calls, no connection, a list of statements as one transaction.

Theory of operation: no transaction lasts over several calls, but a list of statements is one. So a
transaction's steps are run through first: what they read is answered at once, what they write is collected.
Then all of it goes as one list, behind the lock and a statement that fails unless the schema's turn is still
the one that was read before anything else. If another transaction came between, nothing was written, and
everything begins again. So it does no harm that the answer to a list is lost while it still runs: whoever
comes second fails, and sees what the first has written.
Rules of this file: nothing is sent again after an error. A staged file is removed when the end of its list is
known. Decision 73. Source: Redshift Data API Reference (BatchExecuteStatement, DescribeStatement,
GetStatementResult) and its quotas.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from tailrace.aws import client
from tailrace.aws.errors import AwsError, sink_error
from tailrace.aws.places import Access
from tailrace.errors import InternalError, SettingsError, Unavailable
from tailrace.ports import Clock
from tailrace.sinks.intercepting import missing_extra
from tailrace.sinks.redshift.dialect import RedshiftDialect
from tailrace.sinks.redshift.doors import TooManyStatements, is_read, staged
from tailrace.sinks.redshift.errors import failure
from tailrace.sinks.redshift.staging import StagingPrefix
from tailrace.sinks.redshift.values import written
from tailrace.sinks.sql.postgresql import carried_out
from tailrace.sinks.sql.statements import Ask, Begin, Load, LoadNew, Rows, Statement, TakenBack

T = TypeVar("T")
SERVICE: Final = "redshift-data"
MOST_STATEMENTS: Final = 40
"""Of one list."""
MOST_BYTES: Final = 100_000
"""Of one statement."""
TURNS: Final = 6
"""How often a transaction begins again because another one came between."""
FIRST_MS: Final = 50
LONGEST_MS: Final = 2_000
"""Between two looks at a statement that runs: each is twice as long after the other."""
PATIENCE_MS: Final = 15 * 60_000
"""How long a statement may run."""
KINDS: Final = ("stringValue", "longValue", "booleanValue", "doubleValue", "blobValue")
GUARD: Final = 1
"""Where in a list the statement is that fails when another transaction came between."""


@dataclass(frozen=True, slots=True)
class RedshiftDataApi:
    """A warehouse as the Data API reaches it.

    Shape:   `workgroup` of Redshift Serverless, or `cluster`. As whom: a `secret` of Secrets Manager (its
             name or ARN), else the database `user` of a cluster, else the user of the caller's IAM identity.
    """

    database: str
    workgroup: str = ""
    cluster: str = ""
    user: str = ""
    secret: str = ""

    def __post_init__(self) -> None:
        if not self.database or bool(self.workgroup) == bool(self.cluster):
            raise SettingsError(
                f"{self!r}: it has a database, and either a workgroup or a cluster",
                hint='sinks.RedshiftDataApi("dev", workgroup="analytics")',
            )
        if self.user and (self.workgroup or self.secret):
            raise SettingsError(f"{self!r}: a user is one of a cluster, without a secret")

    @property
    def account(self) -> dict[str, str]:
        """The parameters of every call."""
        given = {
            "Database": self.database,
            "WorkgroupName": self.workgroup,
            "ClusterIdentifier": self.cluster,
            "DbUser": self.user,
            "SecretArn": self.secret,
        }
        return {name: value for name, value in given.items() if value}

    def __str__(self) -> str:
        return f"{self.workgroup or self.cluster}/{self.database} (Data API)"


class StatementFailed(Exception):
    """A list failed. Shape: `place` of the statement that did, -1 where that is not told."""

    def __init__(self, place: int, said: str) -> None:
        super().__init__(said)
        self.place = place
        self.said = said


class EndUnknown(Unavailable):
    """Nobody told how a list ended: it may be carried out, or may be still."""


class StatementRunner:
    """Statements over the Data API, to their end."""

    def __init__(self, access: Access, warehouse: RedshiftDataApi, clock: Clock) -> None:
        self._access = access
        self._account = warehouse.account
        self._clock = clock

    async def rows(self, statement: str) -> Rows:
        """What one statement answers. Raises: StatementFailed, Unavailable."""
        self._check([statement])
        begun = await self._call("execute_statement", Sql=statement, **self._begun())
        ended = await self._ended(begun["Id"])
        rows: Rows = []
        token: str | None = None
        while ended.get("HasResultSet"):
            page = await self._call(
                "get_statement_result", Id=begun["Id"], **({"NextToken": token} if token else {})
            )
            rows += [tuple(map(value_of, record)) for record in page["Records"]]
            if not (token := page.get("NextToken")):
                break
        return rows

    async def list(self, statements: Sequence[str]) -> None:
        """Carry statements out as one transaction. Raises: StatementFailed: none was; TooManyStatements,
        EndUnknown, Unavailable.
        """
        if len(statements) > MOST_STATEMENTS:
            raise TooManyStatements(f"{len(statements)} statements")
        self._check(statements)
        try:
            begun = await self._call("batch_execute_statement", Sqls=list(statements), **self._begun())
            await self._ended(begun["Id"])
        except StatementFailed:
            raise
        except Unavailable as error:
            raise EndUnknown(str(error.args[0]), hint=error.hint) from error

    def _begun(self) -> dict[str, str]:
        """Where, as whom, and a token that no other call has: with a used one nothing is carried out."""
        return {**self._account, "ClientToken": os.urandom(16).hex()}

    def _check(self, statements: Sequence[str]) -> None:
        for statement in statements:
            if (size := len(statement.encode())) > MOST_BYTES:
                raise Unavailable(
                    f"the Data API takes {MOST_BYTES:,} bytes a statement, not {size:,}: {statement[:60]}…",
                    hint="use PostgreSQL's protocol for a table with such columns: sinks.Redshift(url, …)",
                )

    async def _ended(self, id_: str) -> Mapping[str, Any]:
        """A statement's description when it has finished. Raises: StatementFailed, Unavailable."""
        began, wait = self._clock.now().monotonic_ms, FIRST_MS
        while (there := await self._call("describe_statement", Id=id_))["Status"] not in ENDED:
            now = self._clock.now().monotonic_ms
            if now - began > PATIENCE_MS:
                raise Unavailable(
                    f"statement {id_} is {there['Status']} after {PATIENCE_MS // 60_000} minutes",
                    hint=f"aws redshift-data describe-statement --id {id_}; svv_transactions has its locks",
                )
            await self._clock.sleep_until(now + wait)
            wait = min(2 * wait, LONGEST_MS)
        if there["Status"] == "FINISHED":
            return there
        parts = there.get("SubStatements") or []
        failed = [place for place, part in enumerate(parts) if part.get("Status") == "FAILED"]
        said = " ".join(str(there.get("Error") or there["Status"]).split())
        raise StatementFailed(failed[0] if failed else -1, said)

    async def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        try:
            return await client.call(self._access, SERVICE, operation, parameters)
        except ImportError as error:
            raise missing_extra("sinks.Redshift", "redshift") from error
        except AwsError as error:
            told = sink_error(error)
            if isinstance(told, Unavailable):
                raise told from error
            raise Unavailable(f"Data API: {error.text}", hint=error.hint or HINT) from error


HINT: Final = (
    "the worker needs redshift-data:ExecuteStatement, BatchExecuteStatement, DescribeStatement and "
    "GetStatementResult, and what its kind of log-in needs: docs/redshift.md"
)
ENDED: Final = frozenset(("FINISHED", "FAILED", "ABORTED"))


def value_of(field: Mapping[str, Any]) -> Any:
    """One value of a result.

    >>> value_of({"isNull": True}), value_of({"longValue": 7}), value_of({"stringValue": ""})
    (None, 7, '')
    """
    return next((field[kind] for kind in KINDS if field.get(kind) is not None), None)


# ---- transactions ------------------------------------------------------------------------------------------


class CameBetween(Exception):
    """Another transaction was committed since the turn was read: nothing was written."""


class DataApiDoor:
    """The Data API as a door. Shape: `place` is how errors call it."""

    def __init__(
        self,
        place: str,
        runner: StatementRunner,
        dialect: RedshiftDialect,
        staging: StagingPrefix,
        clock: Clock,
    ) -> None:
        self._place = place
        self._runner = runner
        self._dialect = dialect
        self._staging = staging
        self._clock = clock

    async def apart(self, statements: Sequence[str]) -> None:
        """Carry these out as a transaction of their own. Raises: Unavailable, Refused."""
        try:
            await self._runner.list(statements)
        except StatementFailed as error:
            raise failure(self._place, error.said) from error

    async def transacted(self, begin: Begin[T]) -> T:
        """Carry steps out in one transaction, from the beginning again when another one came between. Raises:
        Unavailable, Refused, what they raise; TooManyStatements.
        """
        for _ in range(TURNS):
            files: list[str] = []
            try:
                result = await self._one(begin, files)
            except EndUnknown:
                raise  # what it reads is needed as long as it may run
            except BaseException as error:
                await self._staging.delete(files)
                if not isinstance(error, CameBetween):
                    raise
            else:
                await self._staging.delete(files)
                return result
        raise Unavailable(
            f"{self._place}: {TURNS} times another transaction came between",
            hint="give the sinks schemas of their own, or use PostgreSQL's protocol: sinks.Redshift(url, …)",
        )

    async def close(self) -> None:
        """Nothing is held."""

    async def rows(self, statement: str) -> Rows:
        """What one statement answers, apart from any transaction. Raises: Unavailable, Refused."""
        try:
            return await self._runner.rows(statement)
        except StatementFailed as error:
            raise failure(self._place, error.said) from error

    async def _one(self, begin: Begin[T], files: list[str]) -> T:
        turn = await self._turn()
        collecting = _Collecting(self, self._dialect, self._staging, self._clock, files)
        tried: TakenBack | None = None
        try:
            result = await carried_out(collecting.answer, begin(True))
        except TakenBack as error:
            tried = error
        if collecting.writes:
            begun = [self._dialect.lock(), self._dialect.taken_turn(turn), *collecting.writes]
            await self._committed(begun, tried)
        elif collecting.reads > 1 and await self._turn() != turn:
            raise CameBetween
        if tried is not None:
            raise tried
        return result

    async def _committed(self, statements: Sequence[str], tried: TakenBack | None) -> None:
        """A list as one transaction, taken back at its end where it is only tried."""
        ends = [] if tried is None else [self._dialect.taken_back()]
        try:
            await self._runner.list([*statements, *ends])
        except StatementFailed as error:
            is_division = "by zero" in error.said.lower()
            if is_division and error.place == GUARD:
                raise CameBetween from error
            if not (is_division and tried is not None and error.place == len(statements)):
                raise failure(self._place, error.said) from error

    async def _turn(self) -> int:
        ((turn,),) = await self.rows(self._dialect.turn())
        if turn is None:
            raise Unavailable(
                f"{self._place}: {self._dialect.lock_table} has no row",
                hint=f"DROP TABLE {self._dialect.lock_table}, and start again",
            )
        return int(turn)


class _Collecting:
    """Answers what is read, and collects what is written."""

    def __init__(
        self,
        door: DataApiDoor,
        dialect: RedshiftDialect,
        staging: StagingPrefix,
        clock: Clock,
        files: list[str],
    ) -> None:
        self._door = door
        self._dialect = dialect
        self._staging = staging
        self._clock = clock
        self._files = files
        self._loaded: set[str] = set()
        self.writes: list[str] = []
        self.reads = 0

    async def answer(self, statement: Statement) -> Rows:
        """One statement's rows; none for one that is only collected."""
        match statement:
            case Ask() if is_read(statement):
                self.reads += 1
                return await self._door.rows(written(statement))
            case Ask():
                self.writes.append(written(statement))
            case Load(table):
                if table in self._loaded:
                    self.writes.append(f"DROP TABLE {table}")
                self._loaded.add(table)
                self.writes += await staged(self._dialect, self._staging, self._clock, statement, self._files)
            case LoadNew():
                raise InternalError("Redshift checks no primary key: rows cannot be loaded as new ones")
        return []
