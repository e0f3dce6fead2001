"""Nothing goes unwritten: every setting, command, error, metric and operation is on a
reference page, in words.

Rules of this file: pages are compared with what the code says; words are checked for being there.
"""

import inspect
from collections.abc import Sequence

import click
import pytest

import tailrace
from tailrace import errors, telemetry
from tailrace.cli.main import cli
from tailrace.engine.settings import EngineSettings
from tailrace.mapping.settings import MappingSettings
from tests.docs import meanings, reference


@pytest.mark.parametrize("name", reference.PAGES)
def test_a_page_says_what_the_code_says(name: str) -> None:
    written = (reference.FOLDER / name).read_text(encoding="utf-8")
    assert written == reference.page(name), "rewrite it: python -m tests.docs.reference"


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        (meanings.MAPPING, MappingSettings.__struct_fields__),
        (meanings.ENGINE, EngineSettings.__struct_fields__),
        (meanings.CRASH_POINTS, list(telemetry.POINTS)),
    ],
)
def test_every_setting_and_point_has_a_meaning(texts: dict[str, str], names: Sequence[str]) -> None:
    assert sorted(texts) == sorted(names)


def test_every_command_and_option_says_what_it_does() -> None:
    commands = list(reference.commands_of("tailrace", cli))
    assert len(commands) >= 8
    for path, command in commands:
        assert command.help, f"{path} has no help"
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                assert option.help, f"{path} {option.opts} has no help"


def test_every_error_metric_and_name_has_a_docstring() -> None:
    kinds = [value for value in vars(errors).values() if inspect.isclass(value)]
    values = [*kinds, *(getattr(tailrace, name) for name in tailrace.__all__)]
    assert [value for value in values if not (value.__doc__ or "").strip()] == []
    assert [metric.name for metric in telemetry.METRICS if not metric.help] == []


def test_every_operation_of_the_registry_is_on_its_page() -> None:
    from tailrace.api.registry import find_operations

    emulated = [operation.name for operation in find_operations().values() if operation.emulated]
    page = reference.page("operations.md")
    assert len(emulated) >= 17
    assert [name for name in emulated if f"## {name}:" not in page] == []
