"""The contract of `StateStore` for two workers that write at once.

Theory of operation: two stores over the same rows race for them many times; what is wrong about a store shows
in some of the races. A store may say at any moment that it is busy (StoreError): the transaction is tried
again, as the runtime would.
Rules of this file: what is asserted holds whoever wins, and nothing depends on who is faster. Called by
state.py.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple, TypeVar

from tailrace.app.sinking import Closes
from tailrace.errors import StateConflict, StoreError
from tailrace.ports import Action, StateStore
from tailrace.rows.writes import Absent, AbsentOrOlder, Check, Equals, StateRow, Write
from tailrace.streams.version import Version
from tailrace.testing.contracts.rules import ContractBroken, finished, holds, same

Fact = TypeVar("Fact")
ROUNDS: Final = 12
MOST_TRIES: Final = 1_000
MOST_LOOKS: Final = 100_000
AGAIN_S: Final = 0.005
"""Between two tries of a transaction for which the store was too busy."""


class WriterPair(NamedTuple):
    """Two stores over the same rows."""

    one: StateStore
    other: StateStore

    async def close(self) -> None:
        """Give both back."""
        for store in {id(store): store for store in self}.values():
            if isinstance(store, Closes):
                await finished(store.close())


async def both_see_what_is_written(pair: WriterPair) -> None:
    """What one has written is what the other reads next."""
    for number in range(ROUNDS):
        writer, reader = pair if number % 2 else (pair.other, pair.one)
        await is_written(writer, [Write("lease/a", {"n": number}), Write(f"row/{number:02d}", {"n": number})])
        same(await reader.get("lease/a"), StateRow("lease/a", {"n": number}), "what the other reads")
        same(await reader.count("row/"), number + 1, "what the other counts")


async def of_two_takers_one_wins(pair: WriterPair) -> None:
    """Of two that write a row under a condition that only one of them can meet, exactly one succeeds."""
    for number in range(ROUNDS):
        key = f"row/{number}"
        won = await at_once(
            is_written(pair.one, [Write(key, {"owner": 0}, Absent())]),
            is_written(pair.other, [Write(key, {"owner": 1}, Absent())]),
        )
        same(sum(won), 1, "how many took the absent row")
        same(await pair.one.get(key), StateRow(key, {"owner": won.index(True)}), "the row")
        taken = await at_once(
            is_written(pair.one, [Write(key, {"owner": 2}, Equals("owner", won.index(True)))]),
            is_written(pair.other, [Write(key, None, Equals("owner", won.index(True)))]),
        )
        same(sum(taken), 1, "how many took the row from its owner")


async def no_update_is_lost(pair: WriterPair) -> None:
    """Of rows that two count up by compare-and-set, each alone and several together, no count is lost."""
    keys = ["count/a", "count/b", "count/c"]
    await is_written(pair.one, [Write(key, {"n": 0}) for key in keys])

    async def counting(store: StateStore, chosen: Sequence[str]) -> None:
        for _ in range(ROUNDS):
            for _ in range(MOST_TRIES):
                rows = [await store.get(key) for key in chosen]
                numbers = [0 if row is None else row.fields["n"] for row in rows]
                changes = [
                    Write(key, {"n": number + 1}, Equals("n", number))
                    for key, number in zip(chosen, numbers, strict=True)
                ]
                if await is_written(store, changes):
                    break
            else:
                raise ContractBroken("the other one always won")

    await at_once(
        counting(pair.one, keys),
        counting(pair.other, keys[::-1]),
        counting(pair.one, keys[:1]),
        counting(pair.other, keys[:1]),
    )
    rows = await pair.one.query("count/")
    same([row.fields["n"] for row in rows], [4 * ROUNDS, 2 * ROUNDS, 2 * ROUNDS], "the counts")


async def marks_rise(pair: WriterPair) -> None:
    """Of two that write a mark under AbsentOrOlder, the newer version stays, each is written once at most."""
    for number in range(ROUNDS):
        key = f"mark/shop.mail/run/t/{number:02x}"
        older, newer = Version(1, number + 1), Version(1, number + 2)
        won = await at_once(
            *(
                is_written(store, [Write(key, {"version": version.text}, AbsentOrOlder(version))])
                for store in pair
                for version in (older, newer)
            )
        )
        row = await pair.other.get(key)
        same(row, StateRow(key, {"version": newer.text}), "the mark")
        same(won[1] + won[3], 1, "how often the newer version was written")
        holds(won[0] + won[2] <= 1, "the older version was written twice")


async def a_condition_on_another_row_holds_at_the_write(pair: WriterPair) -> None:
    """Of two transactions, each of which writes what the other requires to be absent, one succeeds."""
    for number in range(ROUNDS):
        left, right = f"left/{number}", f"right/{number}"
        won = await at_once(
            is_written(pair.one, [Check(right, Absent()), Write(left, {"v": 1}, Absent())]),
            is_written(pair.other, [Write(right, {"v": 1}), Check(left, Absent())]),
        )
        same(sum(won), 1, "how many of the two succeeded")
        seen = [await pair.one.get(left) is not None, await pair.one.get(right) is not None]
        same(seen, won, "which rows are there")


async def a_raised_epoch_fences(pair: WriterPair) -> None:
    """Once one has raised the epoch, nothing is written by the other that requires the one before."""
    for number in range(ROUNDS):
        fence, data = f"fence/{number}", f"data/{number}"
        await is_written(pair.one, [Write(fence, {"epoch": 1})])

        async def saving(fence: str = fence, data: str = data) -> int:
            for saves in range(MOST_TRIES):
                save: list[Action] = [Write(data, {"n": saves + 1}), Check(fence, Equals("epoch", 1))]
                if not await is_written(pair.one, save):
                    return saves
            raise ContractBroken("the one before wrote on and on")

        async def taking(fence: str = fence, data: str = data, late: int = number) -> StateRow | None:
            for _ in range(MOST_LOOKS):
                if await pair.other.get(data) is not None:
                    break
                await asyncio.sleep(0)
            for _ in range(late):  # at another moment of a save in every round
                await asyncio.sleep(0)
            await is_written(pair.other, [Write(fence, {"epoch": 2}, Equals("epoch", 1))])
            return await pair.other.get(data)

        saves, seen = await asyncio.gather(saving(), taking())
        same(seen, StateRow(data, {"n": saves}), "what was there when the epoch was raised")
        same(await pair.one.get(data), seen, "what is there at the end")


async def at_once(*work: Awaitable[Fact]) -> list[Fact]:
    """All of it at the same time. Returns: what came of each. Raises: what any of them raises."""
    return list(await asyncio.gather(*work))


async def is_written(store: StateStore, writes: Sequence[Action]) -> bool:
    """Whether a transaction was written; one that the store was too busy for is tried again."""
    while True:
        await asyncio.sleep(0)  # a store that never waits would let nobody else begin
        try:
            await store.transact(writes)
        except StateConflict:
            return False
        except StoreError:
            await asyncio.sleep(AGAIN_S)
        else:
            return True


RULES_OF_TWO: Final[tuple[Callable[[WriterPair], Awaitable[None]], ...]] = (
    both_see_what_is_written,
    of_two_takers_one_wins,
    no_update_is_lost,
    marks_rise,
    a_condition_on_another_row_holds_at_the_write,
    a_raised_epoch_fences,
)
