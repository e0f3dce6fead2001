"""Parts of a round of housekeeping, one after the other: one that cannot read its rows holds up no other.

Rules of this file: stands alone because expiry, index_lifecycle and time_to_live each go through many tables.
Called by them.
"""

from collections.abc import Iterable, Iterator

from tailrace.errors import StoreError


def in_turn(parts: Iterable[Iterator[None]]) -> Iterator[None]:
    """Go through all parts. Raises: StoreError, the first that a part raised, after the last part."""
    first: StoreError | None = None
    for part in parts:
        try:
            yield from part
        except StoreError as error:
            first = first or error
    if first is not None:
        raise first
