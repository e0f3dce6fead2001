"""The command `tailrace`: a list of commands that are imported only when they are called.

Rules of this file: no import beyond click, so that --help, completion and start-up stay fast; a command's
summary stands here, its options and its teaching text in its own file. Called by the console script and
`__main__`.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Any, Final, NamedTuple, NoReturn

import click

from tailrace.cli.failures import OutputClosed, coloured, output, report
from tailrace.cli.group import nearest
from tailrace.errors import TailraceError


class CommandEntry(NamedTuple):
    """Where a command lives (`module:attribute`) and what the list says about it."""

    target: str
    summary: str


COMMANDS: Final[dict[str, CommandEntry]] = {
    "demo": CommandEntry("tailrace.cli.demo:demo", "Watch the main job run on real flights. Start here."),
    "serve": CommandEntry("tailrace.cli.serve:serve", "Run the engine: any DynamoDB client, any language."),
    "dev": CommandEntry("tailrace.cli.dev:dev", "Run the engine and an app's handlers, with reload."),
    "worker": CommandEntry(
        "tailrace.cli.worker:worker", "Run an app's handlers against real streams, on many machines."
    ),
    "tail": CommandEntry("tailrace.cli.tail:tail", "Watch a table's changes live."),
    "status": CommandEntry("tailrace.cli.status:status", "See how far every handler is."),
    "top": CommandEntry("tailrace.cli.top:top", "Watch workers, shards, lag, hot keys and calls live."),
    "leases": CommandEntry(
        "tailrace.cli.leases:leases", "See which worker reads which shard; free what a dead one left."
    ),
    "why": CommandEntry("tailrace.cli.why:why", "Read the story of one change."),
    "as-of": CommandEntry("tailrace.cli.past:as_of", "Show a table or an item as it was at a time."),
    "history": CommandEntry("tailrace.cli.past:history", "List every change that an item ever had."),
    "blame": CommandEntry("tailrace.cli.past:blame", "See which change last set each attribute."),
    "diff": CommandEntry("tailrace.cli.past:diff", "Compare a table between two times."),
    "restore": CommandEntry("tailrace.cli.restore:restore", "Write what a table was into a table."),
    "replay": CommandEntry(
        "tailrace.cli.replay:replay", "Call a handler again over its journal: on trial, compared, live."
    ),
    "gaps": CommandEntry(
        "tailrace.cli.gaps:gaps", "List what was trimmed before a handler read it; acknowledge it."
    ),
    "snapshot": CommandEntry(
        "tailrace.cli.snapshot:snapshot", "Bring a whole table to a sink; see how far that is."
    ),
    "checkpoint": CommandEntry(
        "tailrace.cli.checkpoint:checkpoint", "See where a handler stands in each shard; set it elsewhere."
    ),
    "dlq": CommandEntry("tailrace.cli.dlq:dlq", "Look at what was given up; put it back, or drop it."),
    "pause": CommandEntry("tailrace.cli.pausing:pause", "Let a handler start nothing new."),
    "resume": CommandEntry("tailrace.cli.pausing:resume", "Let it go on."),
    "mapping": CommandEntry(
        "tailrace.cli.mapping:mapping", "List the handlers known here; rename or drop one."
    ),
    "projection": CommandEntry(
        "tailrace.cli.projection:projection", "Look at projections; compare, rebuild, swap."
    ),
    "sink": CommandEntry(
        "tailrace.cli.sink:sink", "Compare what a sink shows with its table; mend what differs."
    ),
    "shards": CommandEntry("tailrace.cli.shards:shards", "List the shards of a stream, or split them."),
    "schema": CommandEntry(
        "tailrace.cli.schema:schema", "See what entities and columns a table's items have."
    ),
    "sql": CommandEntry("tailrace.cli.sql:sql", "Ask the tables that DuckDB sinks keep."),
    "check": CommandEntry("tailrace.cli.check:check", "See whether everything kept is what was written."),
    "state": CommandEntry(
        "tailrace.cli.state:state", "Make or judge the place where a fleet keeps its state."
    ),
    "generate": CommandEntry(
        "tailrace.cli.generate:generate", "Write files for what stands beside: rules of Prometheus."
    ),
    "kcl": CommandEntry("tailrace.cli.kcl:kcl", "Take over where a KCL application was, or hand back to it."),
    "export": CommandEntry(
        "tailrace.cli.export:export", "List DynamoDB's exports in a directory or S3; read or write one."
    ),
    "journal": CommandEntry(
        "tailrace.cli.journal:journal", "See how far a journal is; verify it, prove a change of it."
    ),
    "audit": CommandEntry("tailrace.cli.audit:audit", "Read what people did here, and how it ended."),
    "explain": CommandEntry("tailrace.cli.explain:explain", "Read which changes reach a handler, and why."),
    "plan": CommandEntry(
        "tailrace.cli.plan:plan", "See what settings will do under traffic, before you deploy."
    ),
    "coverage": CommandEntry("tailrace.cli.coverage:coverage", "List what of AWS's APIs is there."),
    "clock": CommandEntry("tailrace.cli.clock:clock", "Show or bend time (`serve --clock manual`)."),
}


ELSEWHERE: Final[dict[str, str]] = {
    "help": "tailrace --help",
    "version": "tailrace --version",
    "run": "tailrace dev app.py",
    "start": "tailrace serve",
    "up": "tailrace serve",
    "init": "tailrace dev app.py",
    "new": "tailrace dev app.py",
    "reload": "tailrace dev app.py",
    "stop": "Ctrl-C where it runs",
    "down": "Ctrl-C where it runs",
    "ps": "tailrace status",
    "lag": "tailrace status",
    "info": "tailrace status",
    "logs": "tailrace tail TABLE",
    "watch": "tailrace tail TABLE",
    "ls": "tailrace mapping ls",
    "list": "tailrace mapping ls",
    "handlers": "tailrace mapping ls",
    "rename": "tailrace mapping rename",
    "split": "tailrace shards split",
    "redrive": "tailrace dlq redrive",
    "rewind": "tailrace checkpoint set HANDLER TIME --dry-run",
    "log": "tailrace history TABLE/KEY --app APP",
    "undo": "tailrace restore TIME --into TABLE --app APP --dry-run",
    "seek": "tailrace checkpoint set HANDLER TIME --dry-run",
    "skip": "tailrace checkpoint set HANDLER end --dry-run",
    "reset": "tailrace checkpoint set HANDLER beginning --dry-run",
    "offsets": "tailrace checkpoint show",
    "retry": "tailrace dlq redrive",
    "deadletters": "tailrace dlq ls",
    "dead-letters": "tailrace dlq ls",
    "parked": "tailrace dlq ls",
    "exports": "tailrace export ls PLACE",
    "rebuild": "tailrace projection rebuild",
    "compare": "tailrace sink verify",
    "verify": "tailrace sink verify, or tailrace projection verify",
    "reconcile": "tailrace sink repair",
    "query": "tailrace sql",
    "infer": "tailrace schema TABLE",
    "columns": "tailrace schema TABLE",
    "describe": "tailrace schema TABLE",
    "simulate": "tailrace plan HANDLER --app app.py --rate 100/s --duration 20ms",
    "estimate": "tailrace plan HANDLER --app app.py --rate 100/s --duration 20ms",
    "cost": "tailrace plan HANDLER --app app.py --rate 100/s --duration 20ms",
}
"""What people type because other tools have it."""


class LazyGroup(click.Group):
    """A group that knows the names of its commands and imports one when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command; None: there is none of that name."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.target.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command. Raises: UsageError with the nearest name."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            elsewhere = ELSEWHERE.get(args[0])
            meant = f" You want: {elsewhere}." if elsewhere else nearest(args[0], COMMANDS, "tailrace")
            raise click.UsageError(f"There is no command {args[0]!r}.{meant}", ctx)
        return super().resolve_command(ctx, args)

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Read the command line. Raises: OutputClosed while help is written."""
        with output():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Raises: OutputClosed."""
        with output():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=False,
    invoke_without_command=True,
)
@click.version_option(package_name="tailrace", prog_name="tailrace", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """DynamoDB Streams as a Python package: an engine, a runtime, and handlers that never lose a change.

    \b
    First:   tailrace demo                   the main job on real flights, one minute
    Then:    tailrace dev app.py             your own handlers, reloaded when you save
    Or:      tailrace serve                  DynamoDB on this machine, for any client
    Beside:  tailrace status                 how far each handler is, from another terminal
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def run(arguments: Sequence[str]) -> int:
    """One command line; the exit code."""
    try:
        code: Any = cli.main(
            args=list(arguments), prog_name="tailrace", standalone_mode=False, color=coloured()
        )
    # The last place: whatever it is, the user gets one message.
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, TailraceError) and error.hint:
            from tailrace.cli.hints import hint_of  # a command that succeeds needs it for its own lines alone

            error.hint = hint_of(error.hint, arguments, cli)
        return report(error, arguments)
    return code if isinstance(code, int) else 0


def keep_little() -> None:
    """Let pyarrow use the system's allocator, unless told otherwise: its own keeps in each thread what was
    freed there, so that a worker over a lake has twice the memory.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def main() -> NoReturn:
    """The console script. What a terminal's encoding does not have is written escaped, such as \\u2190."""
    keep_little()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.encoding.lower() not in ("utf-8", "utf8"):
            stream.reconfigure(errors="backslashreplace")
    code = run(sys.argv[1:])
    try:
        with output():
            sys.stdout.flush()
    except OutputClosed as error:
        code = report(error, ())
    sys.exit(code)
