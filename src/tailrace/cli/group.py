"""A group of commands that helps: without a command it shows its help, for an unknown one it names its own.

Rules of this file: no import beyond click. Used by every command that has commands of its own.
"""

from collections.abc import Iterable
from typing import Final

import click

LONGEST: Final = 200
"""Letters of a command's first sentence in a list."""


class CommandGroup(click.Group):
    """Commands under one name: alone it shows its help, of a wrong one it says what was meant."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Without anything, the help: it is no error to ask what there is."""
        if not args:
            args = ["--help"]
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, each with its whole first sentence."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, command.get_short_help_str(LONGEST))
                    for name, command in sorted(self.commands.items())
                    if not command.hidden
                ]
            )

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command. Raises: UsageError with those that there are."""
        if args[0] not in self.commands and not args[0].startswith("-"):
            meant = nearest(args[0], self.commands, ctx.command_path)
            raise click.UsageError(f"{ctx.command_path} has no command {args[0]!r}.{meant}", ctx)
        return super().resolve_command(ctx, args)


def nearest(typed: str, names: Iterable[str], before: str) -> str:
    """What may have been meant, in words; all that there are when nothing is near."""
    import difflib

    known = list(names)
    near = difflib.get_close_matches(typed, known, n=1, cutoff=0.5)
    return f" Did you mean `{before} {near[0]}`?" if near else f" There are: {', '.join(known)}."
