"""What the pages call is there, also in passing: `sinks.Sqs(…)` within a sentence, which no block runs."""

import re

import pytest

from tailrace import App, sinks
from tailrace.testing.world import World
from tests.docs.reference import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
THERE = {"sinks": sinks, "app": App, "world": World}
CALL = re.compile(r"\b(sinks|app|world)\.([A-Za-z]\w*)\(")


def missing(text: str) -> list[str]:
    """What is called and is not there."""
    instance = App("page")
    return [
        f"{name}.{called}"
        for name, called in CALL.findall(text)
        if not hasattr(THERE[name], called) and not (name == "app" and hasattr(instance, called))
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_calls_only_what_is_there(page: object) -> None:
    assert missing(page.read_text(encoding="utf-8")) == []  # type: ignore[attr-defined]


def test_a_name_that_is_not_there_is_found() -> None:
    assert missing("put it into `sinks.sqs(...)`, or `app.handler(x)`, or `sinks.Sqs(url)`") == [
        "sinks.sqs",
        "app.handler",
    ]
