"""Records a data directory and what the commands say of it:
`python -m tests.unit.views.recording` writes `recorded/` anew.

Theory of operation: an app with one of every feature runs in a test world, under a seed and a manual clock,
through a day in which things go wrong: keys are parked, changes are discarded, a stream is trimmed while
no worker reads it, a stream is switched off and on, a handler is paused over the trim, a shard is split. What
the world holds then becomes a data directory, and the commands answer beside it without a server.
Rules of this file: what is recorded is what version 7eaa174 said. It is written anew only for a change that
loses or alters a member on purpose.
"""

import gzip
import json
import os
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tailrace import App
from tailrace.cli.main import run
from tailrace.cli.offline import run_offline
from tailrace.engine.state import state_of
from tailrace.ports import Commit, Row
from tailrace.server.remembered import remember_time
from tailrace.stores.sqlite import SqliteStore
from tailrace.testing import World
from tailrace.views.at_once import at_once

RECORDED: Final = Path(__file__).with_name("recorded")
DATABASE: Final = RECORDED / "directory.db.gz"
ANSWERS: Final = RECORDED / "answers.json"
QUESTIONS: Final = (
    ("status",),
    ("why", "orders/bad1"),
    ("why", "orders/bad3"),
    ("why", "orders/good", "--last", "10"),
    ("why", "orders/waiting"),
    ("why", "orders/n7"),
    ("why", "lines/o1/1"),
    ("gaps",),
    ("gaps", "slow"),
    ("dlq", "ls"),
    ("dlq", "ls", "mail"),
    ("dlq", "ls", "large"),
    ("projection", "ls"),
    ("mapping", "ls"),
    ("shards", "ls", "orders"),
    ("audit",),
    ("explain", "large", "--app", "recorded"),
)
"""Commands, without `--json` and the directory."""
VERBS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("projection.read", {"projection": "sales"}),
    ("tail", {"table": "orders"}),
)
"""What no command shows whole as one value."""


def load() -> App:
    """The app, compiled under a name that says nothing of this machine: it stands in tracebacks."""
    source = (RECORDED / "app.py").read_text()
    names: dict[str, Any] = {"__name__": "recorded"}
    exec(compile(source, "app.py", "exec"), names)
    app: App = names["app"]
    return app


def lived() -> World:
    """A world after its day."""
    world = World(load(), seed=7, allow_failures=True)
    for name in ("good", "bad1", "bad2"):
        world.put("orders", {"id": name, "country": "NL", "total": 1})
    world.put("lines", {"order": "o1", "number": "1"})
    world.advance("20s")
    for total in (2, 3):
        world.put("orders", {"id": "bad1", "country": "BE", "total": total})
    for number in range(10):
        world.put("orders", {"id": f"n{number}", "country": "BE", "total": number})
    world.put("orders", {"id": "x", "country": "xx", "total": 1})
    world.advance("5m")
    world.kill()  # no worker reads for longer than a stream keeps
    world.put("lines", {"order": "o1", "number": "2"})
    world.put("orders", {"id": "missed", "country": "NL", "total": 1})
    world.advance("25h")
    world.put("orders", {"id": "after", "country": "NL", "total": 1})
    world.use(load())
    world.advance("1m")
    world._ask("gaps.acknowledge", {"handler": "once"})
    world._ask("pause", {"handler": "slow"})
    world.put("orders", {"id": "good", "country": "DE", "total": 6})
    world.advance("23h")  # what is paused is saved from the trim
    world.split("orders")
    world.put("orders", {"id": "good", "country": "DE", "total": 7})
    for total in (1, 2):
        world.put("orders", {"id": "bad3", "country": "DE", "total": total})
    world.put("orders", {"id": "n7", "country": "DE", "total": 7})
    world.advance("1m")
    world.engine.update_stream("lines", enabled=False)
    world.engine.committer.flush()
    world.advance("1s")
    world.engine.update_stream("lines", enabled=True, view_type="NEW_AND_OLD_IMAGES")
    world.engine.committer.flush()
    world.put("lines", {"order": "o1", "number": "1", "n": 2})
    world.advance("1m")
    world._ask("dlq.drop", {"handler": "mail", "where": {"key": "bad2"}})
    world.advance("1m")
    world.kill()
    for name in ("waiting", "good", "bad1"):
        world.put("orders", {"id": name, "country": "FR", "total": 9})
    world.clock.advance(1_000)
    return world


def laid(world: World, directory: Path) -> None:
    """Write what a world holds as a data directory; tracebacks in it name files of this package, without
    their place on this machine.
    """
    at_once(remember_time(state_of(world.engine), world.clock))
    world.engine.committer.flush()
    held = world._store
    root = b"%b/" % str(Path(__file__).parents[3]).encode()
    commit = Commit(
        rows=[
            Row(table, key, value.replace(root, b""))
            for table, rows in held._rows.items()
            for key, value in rows.items()
        ],
        log=[row for rows in held._log.values() for row in rows],
    )
    store = SqliteStore(directory / "tailrace.db")
    store.commit(commit)
    store.close()


def opened(directory: Path) -> Path:
    """The recorded data directory, copied."""
    (directory / "format").write_text("1\n")
    (directory / "tailrace.db").write_bytes(gzip.decompress(DATABASE.read_bytes()))
    return directory


def answers(directory: Path) -> Iterator[tuple[str, Any]]:
    """What every command answers with `--json`, by its words."""
    for verb, arguments in VERBS:
        yield verb, list(run_offline(directory, verb, arguments))
    app = directory / "recorded_app.py"
    app.write_text((RECORDED / "app.py").read_text())
    for words in QUESTIONS:
        given = [str(app) if word == "recorded" else word for word in words]
        out = StringIO()
        with redirect_stdout(out):
            run([*given, "--json", "--data", str(directory)])
        yield " ".join(words), [json.loads(line) for line in out.getvalue().splitlines()]


def main() -> None:
    """Write both files."""
    os.environ["LOGNAME"] = "somebody"  # the audit names the user who asks
    with TemporaryDirectory() as place:
        directory = Path(place)
        with lived() as world:
            laid(world, directory)
        DATABASE.write_bytes(gzip.compress((directory / "tailrace.db").read_bytes(), mtime=0))
    with TemporaryDirectory() as place:
        told = dict(answers(opened(Path(place))))
    ANSWERS.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
