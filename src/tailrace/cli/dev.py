"""`tailrace dev app.py`: the engine, the app's handlers, and reload when a file is saved.

Rules of this file: options, words and the loop that watches files; everything that runs is `compose.Node`.
Where the app is broken the old handlers go on and the message says so. Registered in `main`.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tailrace.cli import options
from tailrace.cli.changes import line
from tailrace.cli.loading import load
from tailrace.cli.reload import Watch, forget_modules, module_files
from tailrace.cli.running import Serving, begin_of_start
from tailrace.cli.serve import endpoint_of, how_to_ask
from tailrace.errors import TailraceError

if TYPE_CHECKING:
    from tailrace.app.app import App
    from tailrace.compose import Node

LOOK_EVERY_S: Final = 0.25
LINES_A_SECOND: Final = 50
"""More changes than this are counted instead of shown: a terminal must not slow the handlers down."""


@click.command()
@click.argument("app", metavar="APP")
@click.option(
    "--reload/--no-reload", default=True, show_default=True, help="Load the app again when it is saved."
)
@click.option("--quiet", is_flag=True, help="Do not show the changes.")
@options.options(*options.serving)
def dev(app: str, reload: bool, quiet: bool, **chosen: Any) -> None:
    """Run the engine and the handlers of APP: a file (app.py) or a name (package.module:app).

    Tables that the app declares are created. Every change is shown on a line; a saved file is loaded at once,
    and delivery goes on from its checkpoint. Where the app is broken, the handlers of before go on. The exit
    code is 0 after a whole drain, and 3 when something was left after --drain, which is told.

    \b
    Example: tailrace dev app.py
             aws dynamodb put-item --table-name shop --item '{"pk": {"S": "o1"}}' \\
                 --endpoint-url http://127.0.0.1:8000
    Next:    tailrace why shop/o1     what each handler made of it
             tailrace status          how far each handler is
    """
    serving = Serving(**chosen)
    serving.check()
    begin_of_start()
    from tailrace.cli.logs import set_up
    from tailrace.cli.running import build_node, run_loop, run_until_stopped

    set_up(serving.log_format, verbose=serving.verbose)
    loaded = load(app)
    node = build_node(serving, loaded)
    session = DevSession(node, app, serving)

    async def beside() -> None:
        async with asyncio.TaskGroup() as tasks:
            if reload:
                tasks.create_task(session.watch())
            if not (quiet or serving.as_json):
                tasks.create_task(session.show_changes())
            await asyncio.Event().wait()

    run_loop(run_until_stopped(node, serving, lambda port: session.announce(port, loaded), beside))


class Throttle:
    """Lets some lines through in each second and counts the others."""

    def __init__(self, limit: int = LINES_A_SECOND, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._monotonic = monotonic
        self._second = -1
        self._shown = 0
        self._hidden = 0

    def admit(self) -> tuple[bool, int]:
        """Whether this line is shown, and how many were hidden before it."""
        second, hidden = int(self._monotonic()), 0
        if second != self._second:
            self._second, self._shown = second, 0
            hidden, self._hidden = self._hidden, 0
        if self._shown < self._limit:
            self._shown += 1
            return True, hidden
        self._hidden += 1
        return False, hidden


class DevSession:
    """One run of `dev`: a node, and the app as it is in its files."""

    def __init__(self, node: "Node", app: str, serving: Serving) -> None:
        self._node = node
        self._app = app
        self._serving = serving
        self._root = Path(app).resolve().parent if app.endswith(".py") else Path.cwd()
        self._throttle = Throttle()
        self.handlers: Mapping[str, str] = {}
        self.name = ""
        node.prepare_with(self.forget)

    async def forget(self, app: "App") -> None:
        """Forget handlers that were deleted from the app, when nothing of theirs is pending."""
        from tailrace.server.mapping_verbs import forget_idle

        declared = {mapping.id: mapping.table.name for mapping in app.mappings}
        for name in await forget_idle(self._node.subject, app.name, declared):
            self.tell(
                f"{name} is gone from {app.name}; nothing of it was pending: forgotten",
                "cyan",
                forgotten=name,
            )

    def announce(self, port: int, app: "App") -> None:
        """Where it listens, which handlers run, what is dangerous."""
        endpoint = endpoint_of(self._serving, port)
        handlers = {mapping.id: mapping.table.name for mapping in app.mappings}
        if self._serving.as_json:
            click.echo(json.dumps({**endpoint, "app": app.name, "handlers": handlers}))
        else:
            click.echo(
                f"{click.style(app.name, bold=True)} on {click.style(endpoint['endpoint'], fg='green')}, "
                f"data in {endpoint['data'] or 'memory'} · {how_to_ask(self._serving, port)}Ctrl-C ends it"
            )
            for handler, table in handlers.items():
                click.echo(f"  {handler} ← {table}")
            if not handlers:
                click.echo("  no handler yet: @app.on(table) declares one; save the file, and it runs")
        self.handlers, self.name = handlers, app.name
        self.warn(app)

    def warn(self, app: "App") -> None:
        """Say which settings are dangerous, and which handlers may call themselves."""
        from tailrace.cli.dangers import dangers
        from tailrace.cli.own_writes import own_writes

        for mapping in app.mappings:
            has_destination = mapping.destination is not None
            for danger in (*dangers(mapping.settings, has_destination=has_destination), *own_writes(mapping)):
                self.tell(f"warning: {mapping.id}: {danger}", "yellow", warning=danger, handler=mapping.id)

    def tell(self, text: str, colour: str, **members: object) -> None:
        """One thing that happened, for people or for programs."""
        click.echo(json.dumps(members) if self._serving.as_json else click.style(text, fg=colour))

    async def watch(self) -> None:
        """Load the app again whenever one of its files is saved."""
        watch = Watch(self._files())
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if changed := watch.changed():
                await self.reload(changed)
                watch.extend(self._files())

    def _files(self) -> list[Path]:
        own = [Path(self._app).resolve()] if self._app.endswith(".py") else []
        return [*own, *module_files(self._root).values()]

    async def reload(self, changed: list[Path]) -> None:
        """Load, and hand over to the new handlers; the old ones go on when the app is broken."""
        names = ", ".join(path.name for path in changed)
        started = time.monotonic()
        forget_modules(self._root)
        try:
            app = load(self._app)
            await self._node.replace_app(app)
        except Exception as error:  # whatever the new version does wrong, the old one must go on
            text = str(error.args[0]) if error.args else str(error)
            hint = error.hint if isinstance(error, TailraceError) else None
            self.tell(f"not loaded, the handlers of before go on: {text}", "red", not_loaded=text, hint=hint)
            if hint and not self._serving.as_json:
                click.echo(f"  {click.style('next:', fg='cyan')} {hint}")
            return
        took = time.monotonic() - started
        handlers = {mapping.id: mapping.table.name for mapping in app.mappings}
        self.tell(
            f"reloaded after {names} was saved, in {took:.2f} s{self.different(app.name, handlers)}",
            "cyan",
            reloaded=names,
            seconds=took,
            handlers=handlers,
        )
        self.handlers, self.name = handlers, app.name
        self.warn(app)

    def different(self, name: str, handlers: Mapping[str, str]) -> str:
        """What the new version declares and the old one did not, in words; "" when they declare the same."""
        if name != self.name:
            return f": the app is {name} now and was {self.name}; its handlers begin anew"
        new = [
            f"{handler} ← {table}"
            for handler, table in handlers.items()
            if self.handlers.get(handler) != table
        ]
        gone = [handler for handler in self.handlers if handler not in handlers]
        return "".join(
            f" · {word}: {', '.join(names)}" for word, names in (("new", new), ("gone", gone)) if names
        )

    async def show_changes(self) -> None:
        """One line a change, for every table of the engine that has a stream."""
        async for change in self._node.changes():
            self.show(change)

    def show(self, change: Mapping[str, Any]) -> None:
        """One change, unless the second is full."""
        is_shown, hidden = self._throttle.admit()
        if hidden:
            click.echo(click.style(f"… and {hidden} more changes", dim=True))
        if is_shown:
            click.echo(line(change, diff=True))
