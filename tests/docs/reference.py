"""The reference pages, made out of the code: `python -m tests.docs.reference` rewrites docs/reference/.

Rules of this file: one function a page; whatever the code has is on the page, so that nothing can go
unwritten. The words that the code does not have are in `meanings`. `test_reference` compares.
"""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
import msgspec
import pytest

import tailrace
from tailrace import errors, telemetry
from tailrace.cli.main import cli
from tailrace.engine.settings import EngineSettings
from tailrace.mapping.settings import MappingSettings
from tailrace.testing import plugin
from tailrace.testing.faults import CRASH_NAMES, KINDS, WORKER_POINTS
from tailrace.testing.world import World
from tests.docs import meanings

ROOT: Final = Path(tailrace.__file__).parents[2]
FOLDER: Final = ROOT / "docs" / "reference"
NOTE: Final = "<!-- Made by `python -m tests.docs.reference`; a test compares. -->\n\n"


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def commands() -> str:
    """Every command, its options and its help."""
    parts = ["# Commands\n\nAll of them have `--help`; what can be read by a program has `--json`.\n"]
    for path, command in commands_of("tailrace", cli):
        usage = " ".join(command.collect_usage_pieces(click.Context(command, info_name=path)))
        parts.append(f"## {path}\n\n```text\n{path} {usage}\n```\n\n{_prose(command.help)}")
        if options := [one for one in command.params if isinstance(one, click.Option) and not one.hidden]:
            rows = [(f"`{', '.join([*one.opts, *one.secondary_opts])}`", _meaning(one)) for one in options]
            parts.append(table(("option", "meaning"), rows))
    return "\n".join(parts)


def commands_of(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """A group's commands and theirs, by their full names."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        yield from commands_of(f"{path} {name}", inner)


def _meaning(option: click.Option) -> str:
    default = option.show_default if isinstance(option.show_default, str) else option.default
    shown = f" Default: {default}." if option.show_default and default is not None else ""
    return f"{option.help or ''}{shown}"


def _prose(text: str | None) -> str:
    paragraphs = inspect.cleandoc(text or "").split("\n\n")
    return (
        "\n\n".join(
            "```text\n" + part.removeprefix("\b\n") + "\n```" if part.startswith("\b") else part
            for part in paragraphs
        )
        + "\n"
    )


def settings() -> str:
    """Every setting of a mapping and of the engine, and what the environment may say."""
    return (
        "# Settings\n\n## A mapping\n\n"
        "Python names have the safe defaults below. `app.function` takes AWS's names and "
        "has AWS's defaults.\n\n"
        f"{_fields(MappingSettings, meanings.MAPPING)}\n## The "
        f"engine\n\n{_fields(EngineSettings, meanings.ENGINE)}\n## The environment\n\n"
        + table(("variable", "meaning"), [(f"`{name}`", text) for name, text in meanings.ENVIRONMENT.items()])
    )


def _fields(settings_class: type[msgspec.Struct], texts: Mapping[str, str]) -> str:
    rows = []
    for field in msgspec.structs.fields(settings_class):
        has_default = field.default is not msgspec.NODEFAULT
        default = f"`{_short(field.default)}`" if has_default else "required"
        rows.append((f"`{field.name}`", default, texts.get(field.name, "")))
    return table(("setting", "default", "meaning"), rows)


def _short(value: object) -> str:
    return repr(value).replace("BreakerSettings", "Breaker")


def error_page() -> str:
    """Every error, its place in the hierarchy and what to do."""
    rows = [
        (f"`{name}`", f"`{kind.__mro__[1].__name__}`", "yes" if kind.retryable else "no", _first_line(kind))
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, errors.TailraceError)
    ]
    return (
        "# Errors\n\nAn error says what is wrong and, as `.hint`, the next command. Whose fault it "
        "is shows in the class.\n\n" + table(("error", "is a", "trying again may help", "meaning"), rows)
    )


def metrics() -> str:
    """Every metric, log field and named point."""
    rows = [
        (f"`{one.name}`", one.kind, ", ".join(f"`{label}`" for label in one.labels), one.help)
        for one in telemetry.METRICS
    ]
    aws = [(one.name, one.unit, one.dimension, f"`{one.metric}`") for one in telemetry.AWS_METRICS]
    points = [(f"`{point}`", meanings.CRASH_POINTS.get(point, "")) for point in telemetry.POINTS]
    fields = ", ".join(f"`{name}`" for name in telemetry.LOG_FIELDS)
    return (
        "# Metrics, logs, points\n\n`/metrics` answers these in the form of Prometheus.\n\n"
        + table(("metric", "kind", "labels", "meaning"), rows)
        + "\n## AWS's metrics by their own names\n\nCounted since the process started; `tailrace "
        "status --json` tells them under `aws_metrics` in AWS's units. In Prometheus times are in "
        "seconds. DeadLetterErrors and DeletedEventCount are not "
        "there: there is no dead-letter queue of asynchronous invocations, and no SQS source.\n\n"
        + table(("AWS/Lambda", "unit", "by", "metric"), aws)
        + f"\n## Fields of a log line\n\n{fields}.\n\n## Points\n\n"
        "The places of a change's way at which a test, or `tailrace demo --kill`, kills the process.\n\n"
        + table(("point", "what holds there"), points)
    )


def operations() -> str:
    """Every operation of the API, from its file's header."""
    import tailrace.api as package

    parts = [
        "# Operations\n\nWhat the engine answers, for any client. `tailrace coverage` prints the "
        "same in short.\n"
    ]
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if module.ispkg or module.name.count(".") != 3:
            continue
        header = ast.get_docstring(ast.parse(inspect.getsource(importlib.import_module(module.name)))) or ""
        title, _, rest = header.partition("\n")
        if "Behaviour" in rest:
            parts.append(f"## {title.rstrip('.')}\n\n```text\n{rest.strip()}\n```\n")
    return "\n".join(parts)


def names() -> str:
    """Every public name."""
    rows = [
        (f"`{name}`", meanings.NAMES.get(name) or _first_line(getattr(tailrace, name)))
        for name in sorted(tailrace.__all__)
    ]
    return "# Names\n\nWhat `from tailrace import …` gives.\n\n" + table(("name", "meaning"), rows)


def testing() -> str:
    """The options of the pytest plugin, faults, crash points, and what a world answers."""
    parser = pytest.Parser(_ispytest=True)
    plugin.pytest_addoption(parser)
    options = parser.getgroup("tailrace").options
    parts = [
        "# Testing\n\nThe pytest plugin and the world; [testing.md](../testing.md) shows them.\n\n## "
        "Options of pytest\n",
        table(("option", "meaning"), [(f"`{one.names()[0]}`", str(one.attrs()["help"])) for one in options]),
        "\n## Faults\n\n`with world.faults(…, seed=7):`\n",
        table(("fault", "value"), [(f"`{name}`", words) for name, words in KINDS.items()]),
        "\n## Where a worker may die\n\n`crash=`, by a word, by the point's name, or `\"anywhere\"`.\n",
        table(
            ("point", "word", "when"),
            [
                (f"`{point}`", ", ".join(f"`{word}`" for word, name in CRASH_NAMES.items() if name == point),
                 meanings.CRASH_POINTS[point])
                for point in WORKER_POINTS
            ],
        ),
        "\n## The world\n",
        table(
            ("name", "meaning"),
            [(f"`world.{name}`",
              _first_line(value)) for name, value in inspect.getmembers(World) if _is_shown(name, value)],
        ),
    ]  # fmt: skip
    return "\n".join(parts)


def _is_shown(name: str, value: object) -> bool:
    return not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, property))


def _first_line(value: Any) -> str:
    text = inspect.cleandoc(value.__doc__ or "")
    return " ".join(text.split("\n\n")[0].split("\n"))


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "commands.md": commands,
    "settings.md": settings,
    "errors.md": error_page,
    "metrics.md": metrics,
    "operations.md": operations,
    "names.md": names,
    "testing.md": testing,
}


def page(name: str) -> str:
    """One page as it should be."""
    return NOTE + PAGES[name]().strip() + "\n"


def main() -> None:
    """Rewrite all pages."""
    FOLDER.mkdir(exist_ok=True)
    for name in PAGES:
        (FOLDER / name).write_text(page(name), encoding="utf-8")


if __name__ == "__main__":
    main()
