"""The past of a table, opened from what its app declares, with its live stream where that is at hand.

Stands alone because `app.as_of` loads it by its name, and reading the past needs no app. Theory of operation:
an app does not say in which account its tables are, and whoever reads their past may have no credentials: the
archive tells, by the one account that has a journal of the table. Rules of this file: nothing is written.
"""

from collections.abc import Callable
from functools import partial

from msgspec import Struct

from tailrace.app.mapping import HandlerMapping
from tailrace.archives.opening import archive_at
from tailrace.clocks.system import SystemClock
from tailrace.errors import InternalError, NotKnown
from tailrace.journal.core.places import TABLES, JournaledTable, journaled_table
from tailrace.journal.run.past import LOG, PastReader
from tailrace.journal.run.tail import TailBounds
from tailrace.manifests.core.names import safe
from tailrace.manifests.run.target import outages
from tailrace.ports import ArchiveStore, Clock, LogReader
from tailrace.streams.arns import ACCOUNT, parse_table_arn


class LiveStream(Struct, frozen=True):
    """Where a table's stream is at hand. Shape: `log` may be asked from any loop; `clock` is the table's;
    `warned` as of PastReader.
    """

    log: LogReader
    clock: Clock
    bounds: TailBounds = TailBounds()
    warned: Callable[[str], None] = LOG.warning


def open_past(
    region: str, mapping: HandlerMapping, stream: LiveStream | None = None, account: str | None = None
) -> PastReader:
    """What reads the journal of an archive's table from its place, and on from there its stream, where it is
    at hand. Raises: SettingsError, Unavailable.
    """
    plan = mapping.archive
    if plan is None:
        raise InternalError(f"{mapping.id!r} is no archive")
    archive = plan.archive or archive_at(plan.place, plan.access)
    return past_at(archive, mapping.table.name, region, account, plan.place, stream)


def past_at(
    archive: ArchiveStore,
    name: str,
    region: str,
    account: str | None,
    place: str = "",
    stream: LiveStream | None = None,
) -> PastReader:
    """What reads the journal of a table in an archive. Shape: `account` None: the one that has a journal of a
    table of that name.
    """
    table = partial(table_in, archive, name, region, account, place)
    if stream is None:
        return PastReader(archive, table, SystemClock())
    return PastReader(archive, table, stream.clock, stream.log, stream.bounds, stream.warned)


async def table_in(
    archive: ArchiveStore, name: str, region: str, account: str | None, place: str = ""
) -> JournaledTable:
    """Which table of a name has a journal in an archive. Shape: `account` None: whichever has one. Raises:
    NotKnown where several have; Unavailable.
    """
    if account is not None or parse_table_arn(name) is not None:
        return journaled_table(name, region, account or ACCOUNT)
    accounts = await accounts_of(archive, name, region)
    if len(accounts) > 1:
        raise NotKnown(
            f"{place} has journals of {name} in several accounts: {', '.join(accounts)}",
            hint=f"name the table with its account: arn:aws:dynamodb:{region}:{accounts[0]}:table/{name}",
        )
    return journaled_table(name, region, accounts[0] if accounts else ACCOUNT)


async def accounts_of(archive: ArchiveStore, name: str, region: str) -> list[str]:
    """The accounts that have a journal of a table of this name. Raises: Unavailable."""
    accounts, after = [], ""
    with outages():
        while names := await archive.list(f"{safe(region)}/", after=after, limit=1):
            account = names[0].split("/")[1]
            if await archive.list(f"{safe(region)}/{account}/{TABLES}/{safe(name)}/", limit=1):
                accounts.append(account)
            after = f"{safe(region)}/{account}0"  # behind everything below it: 0 follows the slash
    return accounts
