"""`tailrace journal verify | prove PLACE`: whether a journal is what was written, and what proves a change.

Rules of this file: options and output; what is looked at is said by journal/. Part of `tailrace journal`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from tailrace.cli import options
from tailrace.cli.changes import counted, printable
from tailrace.cli.failures import CommandFailure
from tailrace.cli.journal_status import archive_in
from tailrace.cli.place import endpoint

if TYPE_CHECKING:
    from tailrace.journal.core.heads import TreeHead
    from tailrace.journal.run.reading import JournalReader
    from tailrace.journal.run.verifying import VerifiedJournal
    from tailrace.ports import ArchiveStore

HEAD_DIGITS: Final = 16
LOOKS: Final = {
    "segments": ("reading segments", "segment"),
    "shards": ("following shards", "change"),
    "items": ("following items", "change"),
}
"""What is said of a look, and what is counted."""
journal_options = (
    click.argument("place"),
    click.option(
        "--table", required=True, metavar="TABLE", help="Whose journal: a table's name, or its ARN."
    ),
    click.option(
        "--endpoint",
        callback=endpoint,
        metavar="URL",
        help="Of s3://: another than AWS's, such as a MinIO of yours.",
    ),
    click.option(
        "--region",
        default="us-east-1",
        show_default=True,
        metavar="REGION",
        help="The table's, and of s3://.",
    ),
    click.option("--account", metavar="ID", help="The table's account, where it is on AWS."),
)


@click.command()
@options.options(
    *journal_options,
    click.option(
        "--against",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="A head that was saved before: the journal must have grown from it.",
    ),
    click.option(
        "--signed-by",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="PUBLIC",
        help="The public key (PEM) with which the head of --against must be signed.",
    ),
    click.option(
        "--head",
        "head_file",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Write the journal's head there, if it holds.",
    ),
    click.option(
        "--sign",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="KEY",
        help="Sign that head with a private key (Ed25519, PEM).",
    ),
    options.as_json,
)
def verify(
    place: str,
    table: str,
    endpoint: str | None,
    region: str,
    account: str | None,
    against: Path | None,
    signed_by: Path | None,
    head_file: Path | None,
    sign: Path | None,
    as_json: bool,
) -> None:
    """Look at every file of a journal: is it what was written?

    Manifests follow each other, segments have their bytes, each change has its leaf, the leaves of each shard
    make the tree that the manifest says, and each old image is the state that the change before it left. What
    differs is named, and the exit code is 1.

    Who can write all files can write all of it anew, leaves, trees and manifests, and then nothing here
    differs. Only a head that was kept where they cannot reach tells: keep one with --head, signed with --sign
    where others keep it for you, and compare with --against.

    \b
    Example: tailrace journal verify history/ --table orders --head head-2026-11.json --sign key.pem
             tailrace journal verify s3://audit/orders --table orders --against head-2026-11.json
    Next:    tailrace journal prove PLACE --table TABLE KEY
    """
    from tailrace.cli.running import run_loop
    from tailrace.journal.core.heads import read_head
    from tailrace.journal.run.opening import check_installed
    from tailrace.journal.run.signing import check_signature, signed_head

    _check_typed(head_file, sign, against, signed_by)
    check_installed()
    saved = None
    if against is not None:
        saved = read_head(against.read_bytes(), str(against))
        check_signature(saved, str(against), signed_by)
    archive = archive_in(place, region, endpoint)
    results = run_loop(_verify(archive, _table(table, region, account), saved, as_json=as_json))
    holds = all(result.holds for result in results.values())
    head = next(reversed(results.values())).head
    if holds and head_file is not None:
        head = head if sign is None else signed_head(head, sign)
        _write_head(head, head_file)
    if as_json:
        told = {folder: msgspec.to_builtins(result) for folder, result in results.items()}
        click.echo(json.dumps({"holds": holds, "journals": told}))
    else:
        for folder, result in results.items():
            _show(folder, result, saved)
        if holds and head_file is not None:
            click.echo(
                f"head written to {printable(str(head_file))}: keep it where the journal's writers cannot"
            )
    if not holds:
        click.get_current_context().exit(1)


@click.command()
@options.options(
    *journal_options,
    click.argument("key"),
    click.option(
        "--version", metavar="V", help="Which change of the key, as 66 digits; else its newest one."
    ),
)
def prove(
    place: str,
    table: str,
    endpoint: str | None,
    region: str,
    account: str | None,
    key: str,
    version: str | None,
) -> None:
    """Print what proves that a journal has a change of KEY, as JSON.

    KEY is an item's key as JSON, the partition key first: '{"id": "o1"}'. Whoever kept a head of the journal
    checks the proof against it, without Tailrace and without the journal: examples/journal_proof/check.py
    does it in forty lines. The proof leads to the head of this moment; `journal verify --head` writes it.

    \b
    Example: tailrace journal prove history/ --table orders '{"id": "o1"}' > proof.json
             python examples/journal_proof/check.py proof.json head.json
    Next:    tailrace journal verify PLACE --table TABLE --head FILE
    """
    from tailrace.cli.running import run_loop
    from tailrace.streams.version import Version

    try:
        wanted = None if version is None else Version.from_text(version)
    except ValueError as error:
        raise click.UsageError(f"--version: {error}") from error
    archive = archive_in(place, region, endpoint)
    click.echo(run_loop(_prove(archive, _table(table, region, account), _key_bytes(key), wanted)))


def _check_typed(
    head_file: Path | None, sign: Path | None, against: Path | None, signed_by: Path | None
) -> None:
    """Refuse options that do nothing alone, before anything is read. Raises: UsageError."""
    if sign is not None and head_file is None:
        raise click.UsageError("--sign signs the head that --head FILE writes: say where")
    if head_file is not None and not head_file.parent.is_dir():
        raise click.UsageError(f"--head: there is no directory {printable(str(head_file.parent))}")
    if signed_by is not None and against is None:
        raise click.UsageError("--signed-by is about the head of --against FILE: say which")


def _write_head(head: "TreeHead", file: Path) -> None:
    try:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(head)) + b"\n")
    except OSError as error:
        raise CommandFailure(
            f"{printable(str(file))} cannot be written: {error.strerror}", hint="the same with another --head"
        ) from error


async def _verify(
    archive: "ArchiveStore", table: Any, saved: "TreeHead | None", *, as_json: bool
) -> "dict[str, VerifiedJournal]":
    from tailrace.cli.telling import Bar
    from tailrace.errors import SettingsError
    from tailrace.journal.core.places import incarnation_folder
    from tailrace.journal.run.verifying import verified

    results = {}
    async with _reader(archive, table) as reader:
        incarnations = dict.fromkeys(stream.incarnation for stream in await reader.known_streams())
        folders = {incarnation_folder(table, incarnation): incarnation for incarnation in incarnations}
        if saved is not None and saved.journal not in folders:
            raise SettingsError(
                f"the head is of {saved.journal}, and table {table.name} has here: {', '.join(folders)}"
            )
        with Bar("", quiet=as_json) as bar:

            def progress(what: str, done: int, whole: int) -> None:
                bar.show(done, whole, *LOOKS[what])

            for folder, incarnation in folders.items():
                its = saved if saved is not None and saved.journal == folder else None
                results[folder] = await verified(archive, reader, incarnation, its, progress)
    return results


async def _prove(archive: "ArchiveStore", table: Any, key: bytes, version: Any) -> str:
    from tailrace.journal.run.proving import change_proof, view_with

    async with _reader(archive, table) as reader:
        proof = await change_proof(await view_with(reader, key, version), key, version)
    return msgspec.json.format(msgspec.json.encode(proof)).decode()


def _reader(archive: "ArchiveStore", table: Any) -> "JournalReader":
    from tailrace.clocks.system import SystemClock
    from tailrace.journal.run.reading import JournalReader

    return JournalReader(archive, table, SystemClock())


def _table(name: str, region: str, account: str | None) -> Any:
    from tailrace.journal.core.places import journaled_table
    from tailrace.streams.arns import ACCOUNT

    return journaled_table(name, region, account or ACCOUNT)


def _key_bytes(text: str) -> bytes:
    """The key's bytes, as the journal has them: its JSON says the values, the partition key first."""
    from tailrace.errors import ApiError
    from tailrace.tables.schema import TableSchema
    from tailrace.values.wire import read_item

    try:
        # Numbers stay as they are written: a key has 38 digits, more than a float keeps.
        key = json.loads(text, parse_float=_Digits, parse_int=_Digits)
    except ValueError:
        key = None
    if not isinstance(key, Mapping) or not 1 <= len(key) <= 2:
        raise click.UsageError(f'KEY {text!r} is no key as JSON, such as \'{{"id": "o1"}}\'')
    item: dict[str, Any] = {}
    for name, value in key.items():
        match value:
            case _Digits():
                item[name] = {"N": str(value)}
            case str():
                item[name] = {"S": value}
            case {"S": str()} | {"N": str()} | {"B": str()} if len(value) == 1:
                item[name] = value
            case _:
                raise click.UsageError(f'KEY {text!r}: a key is a text, a number or {{"B": base64}}')
    try:
        item = dict(read_item(item))
    except ApiError as error:
        raise click.UsageError(f"KEY {text!r} is no key: {error.args[0]}") from error
    names = list(item)
    kinds: list[Any] = [next(iter(item[name])) for name in names]
    more = {"range_name": names[1], "range_type": kinds[1]} if len(names) == 2 else {}
    return TableSchema("", 0, "", names[0], kinds[0], **more).key_bytes(item)


class _Digits(str):
    """A number of JSON as it is written."""


def _show(folder: str, result: "VerifiedJournal", saved: "TreeHead | None") -> None:
    if result.holds:
        base = f", a base of {counted(result.base, 'item')}" if result.base else ""
        sizes = f"{counted(result.changes, 'change')} in {counted(result.segments, 'segment')}{base}"
        words = f"{sizes}: as written" if result.head.number else "nothing is there any more"
        if saved is not None and saved.journal == folder:
            words += f", and grown from the saved head {saved.root[:HEAD_DIGITS]}…"
        click.echo(f"{printable(folder)}: {words}")
        click.echo(f"  head {result.head.root}")
        return
    for fault in result.faults:
        click.echo(f"{click.style('differs', fg='red')}  {printable(fault.place)}: {printable(fault.reason)}")
    if result.untold:
        click.echo(f"… and {result.untold:,} more")
