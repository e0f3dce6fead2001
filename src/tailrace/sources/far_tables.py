"""An app and its tables at another server, seen before a worker begins: can all of it run from afar, are the
tables there, are they the declared ones, do their streams tell what handlers read.

Rules of this file: it only asks. What does not fit is refused with the command that would make it fit, as it
has to be typed for this endpoint and region; nothing is ever made or changed there. Called by
compose_fleet.py. Source: growth §3.1.
"""

from collections.abc import Mapping
from inspect import unwrap
from types import CodeType
from typing import Any, Final

from msgspec import Struct

from tailrace.app.app import App, HandlerMapping
from tailrace.app.table import Table
from tailrace.aws import client
from tailrace.aws.errors import AwsError
from tailrace.aws.places import Access
from tailrace.errors import SettingsError
from tailrace.sources.dynamodb_streams import source_error
from tailrace.streams.arns import ACCOUNT, REGION, parse_table_arn
from tailrace.streams.record import ViewType

TELLS: Final[Mapping[str, frozenset[str]]] = {
    "KEYS_ONLY": frozenset(),
    "NEW_IMAGE": frozenset({"new"}),
    "OLD_IMAGE": frozenset({"old"}),
    "NEW_AND_OLD_IMAGES": frozenset({"new", "old"}),
}
"""The images that a record has, by the stream's view type."""


class FarPlace(Struct, frozen=True):
    """Whose tables are read, as their names tell."""

    region: str
    account: str


class FarRefusal(Struct, frozen=True):
    """Why a worker does not run something, and what to do instead. Shape: `says` follows its name."""

    says: str
    hint: str


def check_app(app: App, *, has_marks: bool) -> None:
    """See that every handler of an app can run away from its tables; projections are seen by
    far_projections.py. Shape: `has_marks` a DynamoDB table beside the tables keeps marks. Raises:
    SettingsError naming the handler and what to do.
    """
    for mapping in app.mappings:
        if (refused := refused_afar(mapping, has_marks=has_marks)) is not None:
            raise SettingsError(f"handler {mapping.id!r} {refused.says}", hint=refused.hint)


def refused_afar(mapping: HandlerMapping, *, has_marks: bool) -> FarRefusal | None:
    """Why a handler does not run away from its tables; None: it does. Shape: `has_marks` as for check_app."""
    if mapping.order_wait_ms is not None:
        return FarRefusal(
            "is given the changes of all shards in order of time (app.merged), and workers of a fleet share "
            "them",
            "tailrace dev runs it; elsewhere sort by change.at where it writes to (docs/ordering.md)",
        )
    if has_marks or not (mapping.once or records_effects(mapping.target)):
        return None
    what = "once=True" if mapping.once else "change.transaction"
    return FarRefusal(
        f"uses {what}, which needs a DynamoDB table for marks beside the tables that it writes",
        "tailrace state create dynamodb:TABLE, and the same command with --marks TABLE",
    )


def records_effects(target: object) -> bool:
    """Whether the code of a handler names `transaction`, as what records writes does."""
    waiting = [code for code in [getattr(unwrap(target), "__code__", None)] if code is not None]  # type: ignore[arg-type]
    while waiting:
        code = waiting.pop()
        if "transaction" in code.co_names:
            return True
        waiting += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
    return False


async def check_tables(app: App, access: Access) -> FarPlace:
    """See that every table of the app is there as it is declared, and has a stream where a handler reads it.

    Returns: where they are. Raises: SettingsError, naming the table and the next command; SourceError when
             the endpoint does not answer.
    """
    read = {mapping.table.name for mapping in app.mappings}
    place = FarPlace(access.region or REGION, ACCOUNT)
    for table in app.tables.values():
        described = await _described(table, access)
        _check_keys(table, described)
        if table.name in read:
            _check_stream(table, described, access)
        arn = parse_table_arn(str(described.get("TableArn", "")))
        if arn is not None and arn.account:
            place = FarPlace(arn.region, arn.account)
    return place


async def _described(table: Table, access: Access) -> Mapping[str, Any]:
    if table.place is not None:
        raise SettingsError(
            f"table {table.place.table!r} is declared with a region or an account, and a worker reads the "
            "tables of one endpoint",
            hint="declare it in an app of its own, without region= and account=, and run a worker for that",
        )
    try:
        answer = await client.call(access, "dynamodb", "describe_table", {"TableName": table.name})
    except AwsError as error:
        if error.code != "ResourceNotFoundException":
            raise source_error(error) from error
        raise SettingsError(
            f"table {table.name!r} is not there: {where(access)} has none of that name",
            hint=f"aws dynamodb list-tables{options(access)}",
        ) from error
    described: Mapping[str, Any] = answer["Table"]
    return described


def _check_keys(table: Table, described: Mapping[str, Any]) -> None:
    types = {
        attribute["AttributeName"]: attribute["AttributeType"]
        for attribute in described["AttributeDefinitions"]
    }
    keys = {
        key["KeyType"]: (key["AttributeName"], types[key["AttributeName"]]) for key in described["KeySchema"]
    }
    declared = {"HASH": (table.pk, table.pk_type)}
    if table.sk:
        declared["RANGE"] = (table.sk, table.sk_type)
    if keys != declared:
        there = ", ".join(f"{name} ({kind})" for name, kind in keys.values())
        wanted = ", ".join(f"{name} ({kind})" for name, kind in declared.values())
        raise SettingsError(
            f"table {table.name!r} has the keys {there}, and the app declares {wanted}",
            hint=f"declare app.table({table.name!r}, …) with the keys that it has",
        )


def _check_stream(table: Table, described: Mapping[str, Any], access: Access) -> None:
    stream, declared = described.get("StreamSpecification") or {}, table.stream or "NEW_AND_OLD_IMAGES"
    if not stream.get("StreamEnabled"):
        raise SettingsError(
            f"table {table.name!r} has no stream, and a handler reads its changes",
            hint=enable(table.name, declared, access),
        )
    view_type = str(stream.get("StreamViewType"))
    if not TELLS[declared] <= TELLS.get(view_type, frozenset()):
        off = (
            f"aws dynamodb update-table --table-name {table.name} --stream-specification StreamEnabled=false"
        )
        raise SettingsError(
            f"the stream of table {table.name!r} has {view_type}, and the app declares {declared}: its "
            "handlers would miss images",
            hint=f"declare stream={view_type!r}, or begin a new stream: {off}{options(access)}, then "
            f"{enable(table.name, declared, access)}",
        )


def enable(table: str, view_type: ViewType, access: Access) -> str:
    """The command that enables a table's stream.

    >>> enable("orders", "KEYS_ONLY", Access("eu-west-1"))[:60]
    'aws dynamodb update-table --table-name orders --stream-speci'
    """
    return (
        f"aws dynamodb update-table --table-name {table} --stream-specification "
        f"StreamEnabled=true,StreamViewType={view_type}{options(access)}"
    )


def options(access: Access) -> str:
    """The options of AWS's command line for a place.

    >>> options(Access("eu-west-1", "http://127.0.0.1:8000")), options(Access())
    (' --region eu-west-1 --endpoint-url http://127.0.0.1:8000', '')
    """
    given = {"--region": access.region, "--endpoint-url": access.endpoint_url, "--profile": access.profile}
    return "".join(f" {name} {value}" for name, value in given.items() if value)


def where(access: Access) -> str:
    """A place in words."""
    region = f"region {access.region}" if access.region else "the region that the environment names"
    return region if access.endpoint_url is None else f"{access.endpoint_url} ({region})"
