"""The rows of one mapping: which they are, and how they read under another id.

Rules of this file: pure; it walks the registry and names no kind. Called by runtime/mapping_rows.py,
which reads and writes what this names. Stands alone because it is pure.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from tailrace.rows.kinds import KINDS, RowKind


class RowRange(Struct, frozen=True):
    """Where a mapping's rows of one kind lie. Shape: `alone` is one key (None: no), rows `below` begin so;
    `takes` tells which of them are its own.
    """

    kind: RowKind
    mapping_id: str
    alone: str | None
    below: str

    def takes(self, fields: Mapping[str, Any]) -> bool:
        """Whether a row that was read here is the mapping's."""
        return not self.kind.by_field or fields[self.kind.by_field] == self.mapping_id


def places(app: str, mapping_id: str, kinds: Iterable[RowKind] | None = None) -> Iterator[RowRange]:
    """Where all rows of a mapping lie, in the order in which they are to go."""
    for kind in KINDS.values() if kinds is None else kinds:
        if kind.owner == "mapping":
            whole = kind.of_mapping(app, mapping_id)
            if kind.by_field:
                yield RowRange(kind, mapping_id, None, kind.prefix(app))
            else:
                yield RowRange(kind, mapping_id, whole, f"{whole}/")


def renamed(
    kind: RowKind, app: str, old: str, new: str, key: str, fields: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """A row of `old` as it reads when it is `new`'s: its key, and the fields that hold the id.

    >>> renamed(KINDS["pause"], "shop", "mail", "post", "pause/shop/mail", {"v": 1, "id": "mail"})
    ('pause/shop/post', {'v': 1, 'id': 'post'})
    """
    changed = dict(fields)
    for name in kind.ids:
        text = str(changed.get(name, ""))
        if text == old or text.startswith(f"{old}/"):
            changed[name] = new + text.removeprefix(old)
    whole = kind.of_mapping(app, old)
    is_keyed = not kind.by_field and (key == whole or key.startswith(f"{whole}/"))
    return (kind.of_mapping(app, new) + key.removeprefix(whole) if is_keyed else key), changed
