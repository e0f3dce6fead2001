"""What moves between a lease table and a handler, as tables for people and as JSON.

Rules of this file: output only. Called by kcl.py.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from tailrace.cli.changes import counted, printable
from tailrace.cli.durations import format_instant
from tailrace.cli.status import aligned

if TYPE_CHECKING:
    from tailrace.kcl.core.exporting import ExportedLease
    from tailrace.kcl.core.importing import ImportedLease
    from tailrace.kcl.core.lease_table import LeaseTable
    from tailrace.kcl.run.exporting import PreparedExport
    from tailrace.kcl.run.importing import PreparedImport

NAMED: Final = 5
"""So many dead letters are named, the others counted; --json names all."""
Refusals = Sequence[tuple[str, str]]


def tell_import(
    prepared: "PreparedImport", handlers: Sequence[str], changed: Mapping[str, int] | None, *, as_json: bool
) -> None:
    """What each lease becomes, and whether it was written. Shape: `changed` counts checkpoints by handler;
    None: nothing was written.
    """
    plan = prepared.plan
    if as_json:
        answer = {
            "table": _table(prepared.table),
            "handlers": list(handlers),
            "leases": [_imported(line) for line in plan.lines],
            "of_other_streams": plan.elsewhere,
            "streams_without_leases": list(plan.untouched),
            "begin_ms": prepared.began_ms,
            "alive": list(prepared.alive),
            "refused": _refused(prepared.refusals),
            "changed": None if changed is None else dict(changed),
        }
        click.echo(json.dumps(answer))
        return
    _say_table(prepared.table)
    rows: list[tuple[str, ...]] = [("SHARD", "KCL SAYS", "OWNER", "HERE", "WHAT THAT MEANS")]
    rows += [
        (line.shard_id, line.says, printable(line.owner) or "-", line.becomes, printable(line.words))
        for line in plan.lines
    ]
    for text in aligned(rows):
        click.echo(text)
    if plan.elsewhere:
        click.echo(f"Left out: {counted(plan.elsewhere, 'lease')} of other streams.")
    for label in plan.untouched:
        click.echo(
            f"No shard of stream {label} has a lease: it is read from its beginning, before newer ones."
        )
    if prepared.began_ms is not None:
        click.echo(f"--begin: {format_instant(prepared.began_ms)}")
    if changed is None:
        _say_refusals(prepared.refusals, prepared.alive)
        return
    for handler, count in changed.items():
        click.echo(f"{click.style(handler, bold=True)}: {counted(count, 'checkpoint')} written.")
    gaps = len(plan.of("gap"))
    if gaps:
        click.echo(f"Named: {counted(gaps, 'gap')} (tailrace gaps)")


def tell_export(
    prepared: "PreparedExport", handler: str, changed: "Sequence[ExportedLease] | None", *, as_json: bool
) -> None:
    """What each shard becomes. Shape: `changed` are leases that were left because KCL has changed them; None:
    nothing was written.
    """
    plan = prepared.plan
    left = {line.shard_id for line in changed or ()}
    if as_json:
        answer = {
            "table": None if prepared.table is None else _table(prepared.table),
            "handler": handler,
            "leases": [_exported(line) for line in plan.lines],
            "repeated": [_aside(change) for change in plan.repeated],
            "only_here": [_aside(change) for change in plan.only_here],
            "dead_letters": list(prepared.letters),
            "alive": list(prepared.alive),
            "refused": _refused(prepared.refusals),
            "written": None
            if changed is None
            else sum(line.item is not None for line in plan.lines) - len(left),
            "changed_meanwhile": sorted(left),
        }
        click.echo(json.dumps(answer))
        return
    if prepared.table is not None:
        _say_table(prepared.table)
    rows: list[tuple[str, ...]] = [("SHARD", "HERE", "KCL GETS", "WHAT THAT MEANS")]
    rows += [
        (
            line.shard_id,
            line.stands,
            "-" if line.checkpoint is None else str(line.checkpoint),
            printable(line.words),
        )
        for line in plan.lines
    ]
    for text in aligned(rows):
        click.echo(text)
    for words, changes in (
        ("parked or saved, and told KCL again", plan.repeated),
        ("here alone, and never told KCL", plan.only_here),
    ):
        for change in changes:
            click.echo(f"  {printable(change.item)} in {change.shard_id}: {words}")
    if prepared.letters:
        named = ", ".join(prepared.letters[:NAMED]) + (" …" if len(prepared.letters) > NAMED else "")
        click.echo(f"{len(prepared.letters)} dead letters are given up, and stay here: {named}")
    if changed is None:
        _say_refusals(prepared.refusals, prepared.alive)
        return
    written = sum(line.item is not None for line in plan.lines) - len(left)
    click.echo(f"{click.style(handler, bold=True)}: {counted(written, 'lease')} written.")
    for shard_id in sorted(left):
        click.echo(f"  {shard_id}: its lease has changed meanwhile, and was left. Say the same again.")


def _say_table(table: "LeaseTable") -> None:
    from tailrace.kcl.core.lease_table import NO_LEASES

    others = "".join(f", {count} {NO_LEASES[kind]}" for kind, count in table.others.items())
    leases = counted(len(table.leases), "lease")
    click.echo(f"{click.style(table.name, bold=True)}: KCL {table.version}, {leases}{others}")
    for migration in table.migrations:
        click.echo(f"  migration of {migration}")


def _say_refusals(refusals: Refusals, alive: Sequence[str]) -> None:
    for words, hint in refusals:
        click.echo(f"{click.style('refused', fg='red', bold=True)}  {words}")
        click.echo(f"  {click.style('next:', fg='cyan')} {hint}")
    if alive and not refusals:
        click.echo(f"At work all the same: {', '.join(alive)}")
    if not refusals:
        click.echo("Nothing was written: the same without --dry-run does it.")


def _table(table: "LeaseTable") -> dict[str, Any]:
    return {
        "name": table.name,
        "kcl": table.version,
        "leases": len(table.leases),
        "others": dict(table.others),
        "migrations": list(table.migrations),
    }


def _imported(line: "ImportedLease") -> dict[str, Any]:
    return {
        "stream": line.stream,
        "shard": line.shard_id,
        "says": line.says,
        "owner": line.owner or None,
        "becomes": line.becomes,
        "watermark": None if line.row is None else str(line.row.watermark),
        "finished": line.row is not None and line.row.finished,
        "words": line.words,
    }


def _exported(line: "ExportedLease") -> dict[str, Any]:
    return {
        "stream": line.stream,
        "shard": line.shard_id,
        "stands": line.stands,
        "checkpoint": None if line.checkpoint is None else line.checkpoint.text,
        "writes": line.item is not None,
        "words": line.words,
    }


def _aside(change: Any) -> dict[str, Any]:
    return {
        "shard": change.shard_id,
        "sequence": str(change.sequence),
        "item": change.item,
        "evacuated": change.is_evacuated,
    }


def _refused(refusals: Refusals) -> list[dict[str, str]]:
    return [{"reason": words, "hint": hint} for words, hint in refusals]
