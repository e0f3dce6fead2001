"""Samples of events in every schema that was ever written: what an upcaster is tested with.

Theory of operation: a file `<type>.<schema>[.name].json` has the event in DynamoDB JSON, as its item has it.
When a schema is left behind, its sample stays; the check reads all of them with today's code, and names each
schema that may be in a table and has none.
Rules of this file: files in, events out; a sample is never rewritten. Stands alone because it alone reads
and writes files.
"""

from pathlib import Path
from typing import Any

import orjson

from tailrace.app.aggregate_model import AggregateModel
from tailrace.errors import SettingsError


def write_sample(model: AggregateModel[Any], directory: Path, event: Any, name: str = "") -> Path:
    """Keep an event as it is written today. Raises: SettingsError, ItemError."""
    written = model.write(event)
    path = directory / ".".join(part for part in (written.type, str(written.schema), name, "json") if part)
    text = orjson.dumps(
        {"type": written.type, "schema": written.schema, "data": written.data}, option=orjson.OPT_INDENT_2
    )
    if path.exists() and path.read_bytes() != text:
        raise SettingsError(
            f"{path} is another sample: if the class has changed, write an upcaster from schema "
            f"{written.schema}; "
            "name= keeps several of one schema"
        )
    directory.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    return path


def check_samples(model: AggregateModel[Any], directory: Path) -> list[Any]:
    """Read every sample with today's code. Raises: AssertionError."""
    wanted = set(model.schemas())
    events: list[Any] = []
    for path in sorted(directory.glob("*.json")):
        try:
            kept = orjson.loads(path.read_bytes())
            events.append(model.read_data(path.name, kept["type"], kept["schema"], kept["data"]))
        except Exception as error:  # whatever an upcaster raises: it is what the check is for
            raise AssertionError(f"{path}: {type(error).__name__}: {error}") from error
        wanted.discard((kept["type"], kept["schema"]))
    if wanted:
        lacking = ", ".join(f"{name} schema {schema}" for name, schema in sorted(wanted))
        raise AssertionError(
            f"{directory}: no sample of {lacking}: {model.name}.write_sample({str(directory)!r}, event) "
            f"keeps one, "
            "written while that schema was today's"
        )
    return events
