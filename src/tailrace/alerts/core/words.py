"""What is told of an alert: a subject, and a JSON object that chat services show as it is.

Rules of this file: pure; no key, no image and no error text of a change is in it, since it leaves the place
where data is. Called by alerts/run/watch.py. Stands alone because receivers depend on its form.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from msgspec import Struct

from tailrace.alerts.core.row import AlertNotice, AlertRow, NoticeWord
from tailrace.alerts.core.signs import PAGES, AlertKind, duration
from tailrace.streams.dates import label

PHRASES: Final[Mapping[AlertKind, str]] = {
    "late": "is late",
    "stuck": "is stuck",
    "gap": "has lost changes",
    "evacuating": "is about to lose changes to the trim",
    "dead letters": "has more dead letters",
    "two owners": "is run by two workers at once",
}
NEXT: Final[Mapping[AlertKind, str]] = {
    "late": "tailrace status",
    "stuck": "tailrace status",
    "gap": "tailrace gaps {handler}",
    "evacuating": "tailrace status",
    "dead letters": "tailrace dlq ls {handler}",
    "two owners": "tailrace status",
}
"""The command that looks closer."""
BEHIND: Final[Mapping[NoticeWord, str]] = {"began": "", "goes on": " still", "ended": " no longer"}
LONGEST_SUBJECT: Final = 100
"""Of a mail by SNS. Source: SNS API Reference, Publish."""


class AlertMessage(Struct, frozen=True):
    """What a sink is given. Shape: `id` is the same however often it is told; `body` JSON."""

    id: str
    subject: str
    body: bytes


def alert_message(app: str, row: AlertRow, notice: AlertNotice) -> AlertMessage:
    """One notice of an alert.

    >>> row = AlertRow("gap", "mail", "orders")
    >>> notice = AlertNotice("began", 1_000, 1_000, "1 range of changes", (0,))
    >>> alert_message("shop", row, notice).subject
    'shop: mail has lost changes'
    """
    subject = f"{app}: {row.handler} {PHRASES[row.kind]}{BEHIND[notice.word]}"
    lasted = duration(notice.at_ms - notice.began_ms)
    words = {
        "began": f"{subject}: {notice.detail}",
        "goes on": f"{subject}, since {lasted}: {notice.detail}",
        "ended": f"{subject}, after {lasted}",
    }[notice.word]
    parts = (app, row.handler, row.kind, notice.began_ms, notice.word, notice.at_ms)
    identity = _plain("/".join(map(str, parts)).replace(" ", "-"))
    body: dict[str, Any] = {
        "text": words,
        "alert": row.kind,
        "state": notice.word,
        "severity": "page" if row.kind in PAGES else "ticket",
        "app": app,
        "handler": row.handler,
        "table": row.table,
        "since": f"{label(notice.began_ms)}Z",
        "at": f"{label(notice.at_ms)}Z",
        "detail": notice.detail,
        "next": NEXT[row.kind].format(handler=row.handler),
        "id": identity,
    }
    return AlertMessage(identity, _short(_plain(subject)), orjson.dumps(body))


def _plain(text: str) -> str:
    """Printable ASCII, as headers and subjects take it."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_SUBJECT else f"{text[: LONGEST_SUBJECT - 3]}..."
