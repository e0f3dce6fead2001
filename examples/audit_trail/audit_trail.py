"""Who changed what, and when: every change of a document leaves a line that stays as it is.
`tailrace dev …/audit_trail.py`.

The line is written on `change.transaction`, in one commit with the mark that the change was seen: each change
has one line, whatever crashes when. `changed_fields` tells the difference of both images, and a deletion
tells a person's from one by TTL.
"""

from datetime import datetime

from tailrace import App, Change, Epoch, Item

app = App("audit")
documents = app.table("documents", pk="id", ttl="expires_at")
trail = app.table("trail", pk="document", sk="position", stream=None)


class Document(Item, table=documents):
    """A document. Its writer leaves a name in `edited_by`."""

    id: str
    title: str = ""
    text: str = ""
    edited_by: str = "unknown"
    edited_at: datetime | None = None
    expires_at: Epoch | None = None


def changed_fields(change: Change[Document]) -> dict[str, list[object]]:
    """What differs between both images: field → [before, after]."""
    return {
        name: [None if side is None else getattr(side, name) for side in (change.old, change.new)]
        for name in ("title", "text")
        if getattr(change.old, name, None) != getattr(change.new, name, None)
    }


@app.on(Document)
def note(change: Change[Document]) -> None:
    """One line a change, in the order of the stream."""
    image = change.new or change.old
    assert image is not None
    person = image.edited_by if change.new is not None else "somebody"
    change.transaction.put(
        trail,
        {
            "document": change.key,
            "position": change.sequence_number,
            "what": change.event_name,
            "who": "time to live" if change.by_ttl else person,
            "at": change.at.isoformat(),
            "fields": changed_fields(change),
        },
    )
