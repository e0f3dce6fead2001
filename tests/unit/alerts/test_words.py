"""What is told of an alert."""

import orjson
import pytest

from tailrace.alerts.core.row import AlertNotice, AlertRow
from tailrace.alerts.core.signs import KINDS_OF_ALERT, AlertKind
from tailrace.alerts.core.words import LONGEST_SUBJECT, alert_message

START = 1_700_000_000_000
BEGAN = AlertNotice("began", START, START, "its oldest change waits for 16m", (0,))


def test_a_notice_names_app_handler_matter_and_the_command_that_looks_closer() -> None:
    message = alert_message("shop", AlertRow("late", "mail", "orders"), BEGAN)
    assert message.subject == "shop: mail is late"
    assert orjson.loads(message.body) == {
        "text": "shop: mail is late: its oldest change waits for 16m",
        "alert": "late",
        "state": "began",
        "severity": "ticket",
        "app": "shop",
        "handler": "mail",
        "table": "orders",
        "since": "2023-11-14T22:13:20.000Z",
        "at": "2023-11-14T22:13:20.000Z",
        "detail": "its oldest change waits for 16m",
        "next": "tailrace status",
        "id": message.id,
    }


@pytest.mark.parametrize(
    ("notice", "subject", "text"),
    [
        (AlertNotice("goes on", START + 3_600_000, START, "x", (0,)), " still", " still, since 1h: x"),
        (AlertNotice("ended", START + 61_000, START, "x", (0,)), " no longer", " no longer, after 1m 1s"),
    ],
)
def test_what_lasts_and_what_is_over_say_how_long(notice: AlertNotice, subject: str, text: str) -> None:
    message = alert_message("shop", AlertRow("gap", "mail", "orders"), notice)
    assert message.subject == f"shop: mail has lost changes{subject}"
    assert orjson.loads(message.body)["text"] == f"shop: mail has lost changes{text}"


def test_every_notice_has_an_id_of_its_own_that_is_the_same_when_it_is_told_again() -> None:
    kinds: tuple[AlertKind, ...] = KINDS_OF_ALERT
    notices = [
        BEGAN,
        AlertNotice("ended", START + 1, START, "", (0,)),
        AlertNotice("began", START + 2, START + 2, "", (0,)),
    ]
    rows = [AlertRow(kind, "mail", "orders") for kind in kinds]
    ids = [alert_message("shop", row, notice).id for row in rows for notice in notices]
    assert len(set(ids)) == len(ids)
    assert alert_message("shop", rows[0], BEGAN).id == ids[0]
    assert not any(" " in identity for identity in ids)


@pytest.mark.parametrize(
    ("name", "subject"), [("a" * 84, 98), ("a" * 86, 100), ("a" * 87, 100), ("é\n" * 3, 20)]
)
def test_a_subject_is_ascii_of_at_most_a_hundred_letters(name: str, subject: int) -> None:
    message = alert_message("shop", AlertRow("late", name, "orders"), BEGAN)
    assert message.subject.isascii()
    assert message.subject.isprintable()
    assert message.id.isascii()  # it is a header of a webhook
    assert message.id.isprintable()
    assert len(message.subject) == subject <= LONGEST_SUBJECT
