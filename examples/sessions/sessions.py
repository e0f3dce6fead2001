"""Sessions that end by themselves: time to live deletes them, and the deletion is an event.
`tailrace dev examples/sessions/sessions.py`.

A session that its user signs out of is deleted by a request, one that is forgotten by TTL: predicates tell
the two apart, each has a handler. DynamoDB deletes what has expired within a few days; here the clock
decides, and a test bends it.
"""

from datetime import datetime

from tailrace import App, Change, Epoch, Item, by_ttl, changed

app = App("sessions")
sessions = app.table("sessions", pk="id", ttl="expires_at")
users = app.table("users", pk="name", stream=None)


class Session(Item, table=sessions):
    """A session of a user. Every request moves `expires_at` on."""

    id: str
    user: str
    seen_at: datetime | None = None
    expires_at: Epoch | None = None
    basket: list[str] = []  # noqa: RUF012  # each instance of an Item has a copy of its own


@app.on(Session.inserted)
def signed_in(change: Change[Session]) -> None:
    """Count the open sessions of each user."""
    count(change, change.new.user, +1)


@app.on(Session.removed, where=~by_ttl())
def signed_out(change: Change[Session]) -> None:
    """A person ended it."""
    count(change, change.old.user, -1)


@app.on(Session.removed, where=by_ttl())
def expired(change: Change[Session]) -> None:
    """The user did not come back: what lay in the basket is worth a reminder, once."""
    count(change, change.old.user, -1)
    if change.old.basket:
        change.transaction.update(
            users, {"name": change.old.user + "#reminders"}, "ADD reminders :one", values={":one": 1}
        )


@app.on(Session.modified, where=changed(Session.user))
def taken_over(change: Change[Session]) -> None:
    """A session never changes hands: this error waits as a dead letter until it is looked at."""
    raise PermissionError(f"session {change.key} went from {change.old.user} to {change.new.user}")


def count(change: Change[Session], user: str, difference: int) -> None:
    """One commit with the mark of this change, so that no repetition counts twice."""
    change.transaction.update(users, {"name": user}, "ADD sessions :n", values={":n": difference})
