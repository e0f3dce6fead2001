"""What a worker knows of pauses while many shards of a mapping begin beside each other."""

import asyncio

from tailrace.clocks.manual import ManualClock
from tailrace.rows.kinds import PAUSE
from tailrace.rows.writes import StateRow
from tailrace.runtime.pausing import Pauses
from tailrace.stores.memory import MemoryStateStore

KEY = PAUSE.key("shop", "note")
PAUSED = StateRow(KEY, {"v": 1, "id": "note", "since_ms": 5})


class Slow(MemoryStateStore):
    """Answers questions when it is told to, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[asyncio.Future[StateRow | None]] = []

    async def get(self, key: str) -> StateRow | None:
        self.asked.append(asyncio.get_running_loop().create_future())
        return await self.asked[-1]


async def answered(pauses: Pauses, state: Slow, answers: dict[int, StateRow | None]) -> None:
    """Ask so many times at once; the answers come in this order."""
    begun = len(state.asked)
    looks = [asyncio.ensure_future(pauses.look_at("note")) for _ in answers]
    while len(state.asked) < begun + len(answers):
        await asyncio.sleep(0)
    for number, row in answers.items():
        state.asked[begun + number].set_result(row)
        await looks[number]


def test_an_answer_that_comes_after_that_of_a_later_question_says_nothing_any_more() -> None:
    async def story() -> None:
        state, resumed = Slow(), []

        async def note(mapping_id: str) -> None:
            resumed.append(mapping_id)

        pauses = Pauses("shop", state, ManualClock(), "one", lambda _: [], note)
        await answered(pauses, state, {1: None, 0: PAUSED})
        assert not pauses.is_paused("note")
        await answered(pauses, state, {0: PAUSED, 1: PAUSED})
        assert pauses.is_paused("note")
        await answered(pauses, state, {0: None, 1: None})
        assert not pauses.is_paused("note")
        assert resumed == ["note"]

    asyncio.run(story())


def test_shards_that_hear_of_the_end_of_a_pause_at_once_end_it_once() -> None:
    async def story() -> None:
        state, resumed = Slow(), 0
        may_go_on = asyncio.Event()

        async def wait(mapping_id: str) -> None:
            nonlocal resumed
            resumed += 1
            await may_go_on.wait()

        pauses = Pauses("shop", state, ManualClock(), "one", lambda _: [], wait)
        await answered(pauses, state, {0: PAUSED})
        looks = [asyncio.ensure_future(pauses.look_at("note")) for _ in range(2)]
        while len(state.asked) < 3:
            await asyncio.sleep(0)
        for question in state.asked[1:]:
            question.set_result(None)
        while resumed < 2:
            await asyncio.sleep(0)
        may_go_on.set()
        await asyncio.gather(*looks)
        assert not pauses.is_paused("note")

    asyncio.run(story())
