"""What `tailrace replay --compare-with` says of the effects of two revisions.

Rules of this file: words, nothing is replayed. Called by replay.py. Stands alone because a comparison is read
by people in a pull request and by programs, and both say the same.
"""

import json
from typing import TYPE_CHECKING, Any

import click

from tailrace.cli.changes import counted, key_text, printable, shown
from tailrace.cli.hints import next_line

if TYPE_CHECKING:
    from tailrace.replays.core.differences import EffectGroup
    from tailrace.replays.core.report import ReplayReport


def comparison_json(report: "ReplayReport") -> dict[str, Any]:
    """A comparison for programs."""
    comparison = report.comparison
    assert comparison is not None
    return {
        "changes": report.counts.changes,
        **({} if comparison.windows is None else {"windows": comparison.windows}),
        "compared": comparison.compared,
        "unknown": comparison.unknown,
        "notes": list(report.notes),
        "differences": [_group_json(group) for group in report.differences],
    }


def _group_json(group: "EffectGroup") -> dict[str, Any]:
    example = group.example
    bodies = {
        name: None if effect is None else json.loads(effect.body)
        for name, effect in (("before", example.before), ("now", example.now))
    }
    name = group.name
    return {
        "handler": name.handler,
        "kind": name.kind,
        "target": name.target,
        "happened": name.happened,
        "attributes": list(name.attributes),
        "count": group.count,
        "example": {"key": json.loads(example.change.key), "version": example.change.version, **bodies},
    }


def tell_comparison(report: "ReplayReport", table: str, revision: str) -> None:
    """A comparison for people: what differs, by groups with an example, and what was not compared."""
    comparison = report.comparison
    assert comparison is not None
    for words in report.notes:
        click.echo(f"  {words}", err=True)
    for group in report.differences:
        name, example = group.name, group.example
        what = {
            "changed": f"{', '.join(map(printable, filter(None, name.attributes))) or 'its value'} differs",
            "only before": f"only in {printable(revision)}",
            "only now": "only now",
        }[name.happened]
        times = "once" if group.count == 1 else f"{group.count:,} times"
        click.echo(
            f"{click.style(name.handler, bold=True)}: {name.kind} {printable(name.target)}: {what}, {times}"
        )
        key = key_text(json.loads(example.change.key))
        version = example.change.version.lstrip("0")
        of = f"{table}/{key}, version {version}" if example.change.window is None else f"window {key}"
        click.echo(f"    for example {of}")
        for whose, effect in ((printable(revision), example.before), ("now", example.now)):
            if effect is not None:
                click.echo(f"      {whose}: {shown(printable(effect.body))}")
    noun = "change" if comparison.windows is None else "window"
    for call, count in sorted(comparison.unknown.items()):
        click.echo(
            click.style(
                f"unknown after {printable(call)}: {counted(count, noun)}, not compared", fg="magenta"
            )
        )
    count = len(report.differences)
    said = f"{counted(count, 'kind')} of difference" if count else "no difference"
    total = report.counts.changes if comparison.windows is None else comparison.windows
    click.echo(f"{comparison.compared:,} of {counted(total, noun)} compared: {said}")
    if comparison.unknown:
        click.echo(next_line("--stubs FILE answers calls: docs/replay.md"))
