"""A state without rows, of which one thing remains to be said: what becomes of a transaction.

Rules of this file: it keeps nothing. Taken by who has handlers run where nothing of them is kept.
Stands alone because it stands where a store would, and is none.
"""

from tailrace.rows.writes import StateRow


class Rowless:
    """The reading half of `ports.StateStore` where there is nothing. Its user says what `transact` does."""

    async def get(self, key: str) -> StateRow | None:
        """None."""
        return None

    async def query(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[StateRow]:
        """None."""
        return []

    async def count(self, prefix: str) -> int:
        """None."""
        return 0
