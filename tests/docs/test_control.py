"""The page of the admin API lists every registered verb, and says truly which of them change something.

Rules of this file: the registry is what is true (`server.control`); the page is read as text.
"""

import re

import pytest

from tailrace.server.audit import UNRECORDED
from tailrace.server.control import Verb, registered_verbs
from tests.docs.reference import ROOT

PAGE = ROOT / "docs" / "formats" / "control.md"
ROW = re.compile(r"^\| `([a-z.]+)` \|[^|]*\|([^|]*)\|([^|]*)\|$", re.MULTILINE)
ENDLESS = "until the client closes its side"


def written(page: str) -> dict[str, tuple[str, bool]]:
    """What the table says of each verb: whether it changes something, and whether its client ends it."""
    return {name: (changes.strip(), ENDLESS in answers) for name, changes, answers in ROW.findall(page)}


def registered(verb: Verb) -> tuple[str, bool]:
    """The same, of a verb as it is registered."""
    changes = "yes, offline too" if verb.works_offline else "yes"
    return changes if verb.changes else "", verb.streams


def unrecorded(page: str) -> set[str]:
    """The verbs of which the page says that they change something and leave no row in the audit."""
    named = re.search(r"unless it is a dry run or one of (.*?)\.\s", page, re.DOTALL)
    return set(re.findall(r"`([a-z.]+)`", named[1])) if named else set()


def differences(page: str) -> dict[str, tuple[object, object]]:
    """The verbs of which the page says something else than the registry: what it says, and what is so."""
    said, so = written(page), {verb.name: registered(verb) for verb in registered_verbs().values()}
    return {name: (said.get(name), so.get(name)) for name in said | so if said.get(name) != so.get(name)}


def test_the_page_lists_every_verb_and_what_it_changes() -> None:
    assert differences(PAGE.read_text(encoding="utf-8")) == {}


def test_the_page_names_what_leaves_no_row_in_the_audit() -> None:
    assert unrecorded(PAGE.read_text(encoding="utf-8")) == UNRECORDED
    assert {name for name in UNRECORDED if not registered_verbs()[name].changes} == set()


@pytest.mark.parametrize(
    ("before", "after", "name"),
    [
        ("| `gaps` |", "| `gapes` |", "gaps"),
        ("| `pause` | `handler`, `dry_run` | yes, offline too |", "| `pause` | `handler` | |", "pause"),
        ("| `projection.swap`", "| projection.swap", "projection.swap"),
        (
            "`dry_run` | yes | one value: the `build` that begins",
            "`dry_run` | | one value: it",
            "projection.rebuild",
        ),
        ("a value for every change, until the client closes its side", "a value for every change", "tail"),
    ],
)
def test_a_page_that_was_left_behind_is_found(before: str, after: str, name: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert before in page
    assert name in differences(page.replace(before, after))


def test_a_sentence_that_was_left_behind_is_found() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert unrecorded(page.replace("`clock.set` and", "")) == UNRECORDED - {"clock.set"}
