"""An app with a race in it: two transfers read a balance, wait, and write it. `python racing.py [REPLAY]`
explores it in a process.

Rules of this file: the race is planted; `locked` keeps it out. Used by test_exploring.py, there and in
processes of its own.
"""

import asyncio
import sys
from collections.abc import Callable

from tailrace import App, Change
from tailrace.testing import World
from tailrace.testing.exploring import BrokenOrder

app = App("bank")
transfers = app.table("transfers", pk="id")


class Bank:
    """A balance behind a connection: every call waits."""

    def __init__(self) -> None:
        self.balance = 0
        self.lock: asyncio.Lock | None = None

    async def read(self) -> int:
        """The balance."""
        await asyncio.sleep(0)
        return self.balance

    async def write(self, balance: int) -> None:
        """Another balance."""
        await asyncio.sleep(0)
        self.balance = balance


bank = Bank()


@app.on(transfers.inserted, concurrency=4)
async def move(change: Change) -> None:
    """Add to the balance; without the lock another transfer may come between."""
    if bank.lock is None:
        balance = await bank.read()
        await bank.write(balance + int(change.new["amount"]))
    else:
        async with bank.lock:
            balance = await bank.read()
            await bank.write(balance + int(change.new["amount"]))


def paying(world: World, *, locked: bool = False, count: int = 2) -> Callable[[], None]:
    """Some transfers of one each."""

    def action() -> None:
        bank.balance, bank.lock = 0, asyncio.Lock() if locked else None
        for key in "abcdefgh"[:count]:
            world.put(transfers, {"id": key, "amount": 1})

    return action


def check() -> None:
    """Nothing was lost: for two transfers."""
    assert bank.balance == 2, f"the balance is {bank.balance}"


def main() -> None:
    """Explore, or replay what the arguments say, and tell the schedule."""
    with World(app, seed=11, shards=4) as world:
        try:
            world.explore(paying(world), check=check, replay=sys.argv[1] if len(sys.argv) > 1 else None)
        except BrokenOrder as broken:
            sys.stdout.write("\n".join([*broken.schedule, f"order {broken.order}", broken.replay]))


if __name__ == "__main__":
    main()
