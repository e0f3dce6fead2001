"""Accounts for the tests of aggregates: events, commands, decisions, and owners whose requests interleave.

Theory of operation: `handle` is steps that yield requests, so a test decides which owner goes next, and what
befalls each request: it is answered, answered and the answer lost, never sent, sent twice by a client that
has lost the first answer, or its owner dies. An owner that has no answer asks again under the same id. What
must hold is read from the table alone: it is the outcome of the same commands one after the other.
Rules of this file: chance is a seed's; nothing of the product decides what is right.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random
from typing import Any

from tailrace import App
from tailrace.aggregates.run import handling
from tailrace.aggregates.run.handling import Asked, Decided, Terms
from tailrace.app.aggregate import Aggregate, Recorded
from tailrace.app.client import Attached
from tailrace.clocks.manual import ManualClock
from tailrace.compose import create_tables
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.errors import ApiError, Conflict, Unavailable
from tailrace.server.handler_door import DoorAtOnce
from tailrace.stores.memory import MemoryStore


@dataclass(frozen=True)
class Opened:
    owner: str


@dataclass(frozen=True)
class Deposited:
    amount: int


@dataclass(frozen=True)
class Withdrawn:
    amount: int


@dataclass(frozen=True)
class Account:
    owner: str = ""
    balance: int = 0


class TooLittle(Exception):
    """The account has not so much."""


@dataclass(frozen=True)
class Open:
    owner: str


@dataclass(frozen=True)
class Deposit:
    amount: int
    times: int = 1


@dataclass(frozen=True)
class Withdraw:
    amount: int


Command = Open | Deposit | Withdraw


def decide(command: Command, state: Account) -> list[Any]:
    match command:
        case Open(owner):
            return [] if state.owner else [Opened(owner)]
        case Deposit(amount, times):
            return [Deposited(amount)] * times
        case Withdraw(amount):
            if state.balance < amount:
                raise TooLittle(f"{state.balance} is less than {amount}")
            return [Withdrawn(amount)]


def evolve(state: Account, event: Any) -> Account:
    match event:
        case Opened(owner):
            return replace(state, owner=owner)
        case Deposited(amount):
            return replace(state, balance=state.balance + amount)
        case Withdrawn(amount):
            return replace(state, balance=state.balance - amount)
    raise AssertionError(event)


def bank_app(snapshot_every: int = 0) -> tuple[App, Aggregate[Account]]:
    app = App("bank")
    bank = app.table("bank", pk="pk", sk="sk")
    accounts = app.aggregate(
        "account",
        bank,
        initial=Account,
        decide=decide,
        evolve=evolve,
        events=[Opened, Deposited, Withdrawn],
        snapshot_every=snapshot_every,
    )
    return app, accounts


def served(app: App) -> tuple[Engine, DoorAtOnce]:
    """An engine with the app's tables, attached."""
    clock = ManualClock()
    engine = Engine(MemoryStore(), clock, EngineSettings(shards=1))
    create_tables(app, engine)
    engine.committer.flush()
    door = DoorAtOnce(engine)
    names = count()
    app.bind_door(Attached(lambda: door, lambda: clock.now().wall_ms, lambda: f"append {next(names)}"))
    return engine, door


# ---- owners ------------------------------------------------------------------------------------------------


@dataclass
class Order:
    """What an owner wants done. Shape: `parts` are (account, command), one transaction."""

    id: str
    parts: tuple[tuple[str, Command], ...]
    named: bool = True
    """Whether it is sent under its id; without one it is never sent again."""


@dataclass
class Owner:
    """One after another, until each is answered."""

    orders: list[Order]
    steps: Any = None
    request: tuple[str, Mapping[str, Any]] | None = None


@dataclass
class Campaign:
    """Owners at work on one table."""

    seed: int
    faults: float = 0.25
    snapshot_every: int = 0
    answers: dict[str, list[Decided[Account]]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.chance = Random(self.seed)
        self.app, self.accounts = bank_app(self.snapshot_every)
        self.engine, self.door = served(self.app)
        self.orders: dict[str, Order] = {}
        self._appends = 0

    def run(self, owners: int = 3, orders: int = 5) -> "Campaign":
        """Let all of them finish."""
        crew = [Owner([self._order(f"o{owner}-{n}") for n in range(orders)]) for owner in range(owners)]
        while waiting := [owner for owner in crew if owner.orders]:
            self._step(self.chance.choice(waiting))
        return self

    def _order(self, id: str) -> Order:
        chance = self.chance
        first, second = chance.sample(("a", "b", "c"), 2)
        amount = chance.randint(1, 9)
        one: Command = chance.choice(
            (
                Open(id),
                Deposit(amount),
                Deposit(amount),
                Deposit(amount, chance.randint(2, 4)),
                Withdraw(amount),
            )
        )
        parts: tuple[tuple[str, Command], ...] = ((first, one),)
        if chance.random() < 0.3:
            parts = ((first, Withdraw(amount)), (second, Deposit(amount)))
        elif chance.random() < 0.1:
            parts = ((first, Deposit(amount)), (second, Open(id)))
        order = self.orders[id] = Order(id, parts, named=chance.random() < 0.8)
        return order

    def _begin(self, owner: Owner) -> None:
        order = owner.orders[0]
        asked = [
            Asked(
                self.accounts.model, self.accounts.place(account), lambda state, c=command: decide(c, state)
            )
            for account, command in order.parts
        ]
        terms = Terms(lambda: 0, self._new_append, order.id if order.named else None, attempts=8)
        owner.steps = handling.handle(asked, terms)
        owner.request = next(owner.steps)

    def _new_append(self) -> str:
        self._appends += 1
        return f"append-{self._appends}"

    def _step(self, owner: Owner) -> None:
        if owner.steps is None:
            self._begin(owner)
            return
        order, chance = owner.orders[0], self.chance
        assert owner.request is not None
        fault = chance.random() < self.faults
        kinds = ["twice"] + (["lost", "unsent", "killed", "killed after"] if order.named else [])
        kind = chance.choice(kinds) if fault else "answered"
        self.counts[kind] += 1
        try:
            if kind == "unsent":
                owner.request = owner.steps.throw(Unavailable("not sent"))
                return
            if kind == "killed":
                owner.steps = None
                return
            if kind == "twice":  # a client that has lost the first answer: the second is what it knows
                self._called_quietly(owner.request)
                if chance.random() < 0.3:
                    other = chance.choice([*"abc"])
                    self.accounts.append(other, [Deposited(0)])
            answer = self.door.call(*owner.request)
            if kind == "killed after":
                owner.steps = None
            elif kind == "lost":
                owner.request = owner.steps.throw(Unavailable("no answer"))
            else:
                owner.request = owner.steps.send(answer)
        except StopIteration as stop:
            self._answered(owner, stop.value)
        except Unavailable:
            owner.steps = None  # it asks again
        except (TooLittle, Conflict) as error:
            if isinstance(error, Conflict) and order.named:
                owner.steps = None
                return
            self.refused[order.id] = type(error).__name__
            self._done(owner)
        except ApiError as error:
            self._thrown(owner, error)

    def _thrown(self, owner: Owner, error: ApiError) -> None:
        try:
            owner.request = owner.steps.throw(error)
        except StopIteration as stop:
            self._answered(owner, stop.value)
        except (TooLittle, Conflict) as refusal:
            if isinstance(refusal, Conflict) and owner.orders[0].named:
                owner.steps = None
                return
            self.refused[owner.orders[0].id] = type(refusal).__name__
            self._done(owner)

    def _called_quietly(self, request: tuple[str, Mapping[str, Any]]) -> None:
        try:
            self.door.call(*request)
        except ApiError:
            self.counts["refused once"] += 1

    def _answered(self, owner: Owner, decided: list[Decided[Account]]) -> None:
        self.answers[owner.orders[0].id] = decided
        self._done(owner)

    def _done(self, owner: Owner) -> None:
        owner.orders.pop(0)
        owner.steps = owner.request = None

    # ---- what must hold ------------------------------------------------------------------------------------

    def differences(self) -> list[str]:
        """What is not as the same commands one after the other would have left it."""
        wrong: list[str] = []
        histories = {account: self._history(account, wrong) for account in "abc"}
        by_command: dict[str, dict[str, list[Recorded]]] = defaultdict(dict)
        for account, history in histories.items():
            for recorded in history:
                if recorded.command_id is not None:
                    by_command[recorded.command_id].setdefault(account, []).append(recorded)
        for account, history in histories.items():
            wrong += self._replayed(account, history)
        for name, order in self.orders.items():
            wrong += self._counted(order, by_command.get(name, {}))
        plain = Counter(
            name for name, order in self.orders.items() if not order.named and name in self.answers
            for decided in self.answers[name] for _ in decided.events
        )  # fmt: skip
        appended = sum(
            recorded.command_id is None and recorded.event != Deposited(0)
            for history in histories.values()
            for recorded in history
        )
        if plain.total() != appended:
            wrong.append(f"{appended} events without a command instead of {plain.total()}")
        for account, history in histories.items():
            wrong += self._loaded(account, history)
            wrong += self._told(account, history)
        return wrong

    def _told(self, account: str, history: Sequence[Recorded]) -> list[str]:
        """Every answer has the state of its version."""
        states = [Account()]
        for recorded in history:
            states.append(evolve(states[-1], recorded.event))
        return [
            f"{name}: answered {decided}, and version {decided.version} is {states[decided.version]}"
            for name, answer in self.answers.items()
            for decided in answer
            if decided.id == account and decided.state != states[decided.version]
        ]

    def _history(self, account: str, wrong: list[str]) -> list[Recorded]:
        items = self.door.call("Query", {
            "TableName": "bank", "KeyConditionExpression": "pk = :pk AND begins_with(sk, :e)",
            "ExpressionAttributeValues": {":pk": {"S": f"account#{account}"}, ":e": {"S": "E#"}},
        })["Items"]  # fmt: skip
        history = [self.accounts.events.decode(item) for item in items]
        if [recorded.version for recorded in history] != [*range(1, len(history) + 1)]:
            wrong.append(f"{account}: versions {[recorded.version for recorded in history]}")
        return history

    def _replayed(self, account: str, history: Sequence[Recorded]) -> list[str]:
        """Each append is what its command decides on exactly the state before it."""
        state, place, wrong = Account(), 0, []
        while place < len(history):
            append = history[place].append
            group = [recorded for recorded in history[place:] if recorded.append == append]
            order = self.orders.get(history[place].command_id or "")
            if order is not None:
                (command,) = [command for name, command in order.parts if name == account] or [None]
                try:
                    wanted = [] if command is None else decide(command, state)
                except TooLittle:
                    wanted = ["nothing: it is too little"]
                if [recorded.event for recorded in group] != wanted:
                    wrong.append(f"{account} {order.id}: {[r.event for r in group]} instead of {wanted}")
            for recorded in group:
                state = evolve(state, recorded.event)
            if state.balance < 0:
                wrong.append(f"{account}: {state} after {group}")
            place += len(group)
        return wrong

    def _counted(self, order: Order, events: Mapping[str, Sequence[Recorded]]) -> list[str]:
        """A command's events are of one append, and are what was answered."""
        wrong = []
        if len({recorded.append for part in events.values() for recorded in part}) > 1:
            wrong.append(f"{order.id} was applied twice: {events}")
        if not order.named:
            return wrong
        there = [tuple(recorded.event for recorded in events.get(account, ())) for account, _ in order.parts]
        answer = [decided.events for decided in self.answers.get(order.id, ())]
        if order.id in self.answers and answer != there:
            wrong.append(f"{order.id}: answered {answer}, and there is {there}")
        if order.id in self.refused and any(there):
            wrong.append(f"{order.id}: refused, and there is {there}")
        return wrong

    def _loaded(self, account: str, history: Sequence[Recorded]) -> list[str]:
        state = Account()
        for recorded in history:
            state = evolve(state, recorded.event)
        loaded = self.accounts.load(account)
        if (loaded.state, loaded.version) != (state, len(history)):
            return [f"{account}: loaded {loaded} instead of {state}"]
        return []


def first_difference(seeds: Sequence[int], make: Callable[[int], Campaign]) -> list[str]:
    """What the first seed says that finds anything."""
    for seed in seeds:
        try:
            wrong = make(seed).run().differences()
        except Exception as error:  # a broken copy may also fall over
            return [f"{type(error).__name__}: {error}"]
        if wrong:
            return wrong
    return []
