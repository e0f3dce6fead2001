"""`examples/bank/bank.py` under kills: each command is applied once, and every balance is right to the cent.

Theory of operation: the client is this process. It sends commands to the node's endpoint, each under an id
of its own, and sends a command that got no answer again, unchanged. What the accounts must hold is computed
here: of the answers, and of the payments that the node's process has settled. What they hold is read of
their events, item by item.
Rules of this file: the node is another process, the app is the example as it stands; items are read as they
are, by nothing that decides.
"""

import http.client
import importlib.util
import random
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tailrace
from tailrace.app.client import Attached
from tailrace.errors import ApiError, Unavailable
from tests.crash.node import Node, Refused, free_port
from tests.crash.progress import Progress
from tests.patience import PATIENCE_S, at_rest

APP = Path(tailrace.__file__).parents[2] / "examples" / "bank" / "bank.py"
OPENING = 100_000
ACCOUNTS = tuple(f"account-{number}" for number in range(5))
POINTS = (
    "write.received", "write.mutated", "commit.begun", "commit.written", "commit.done", "answer.sent",
    "lease.taken",
    "read.done", "invoke.begun", "invoke.done", "transaction.done", "checkpoint.begun", "checkpoint.done",
)  # fmt: skip
KILLS_A_ROUND = 13
MOST_SENT = 2_000


def example() -> Any:
    """The module of the example, by its path."""
    spec = importlib.util.spec_from_file_location("examples_bank", APP)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["examples_bank"] = module
    spec.loader.exec_module(module)
    return module


@dataclass(slots=True)
class Outcome:
    """What happened, and what should not have."""

    kills: Counter[str] = field(default_factory=Counter)
    commands: int = 0
    repeated: int = 0
    violations: list[str] = field(default_factory=list)


@dataclass(slots=True)
class NodeDoor:
    """The node's endpoint, one connection a request: a dead node is an outage."""

    node: Node

    def call(self, operation: str, members: Mapping[str, Any]) -> Mapping[str, Any]:
        """One request, never repeated."""
        try:
            answer: Mapping[str, Any] = self.node.call(operation, dict(members))
        except Refused as refused:
            name = str(refused.data.get("__type", "")).rpartition("#")[2]
            extra = {key: value for key, value in refused.data.items() if key not in ("__type", "message")}
            raise ApiError(name, refused.data.get("message"), extra=extra) from refused
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Unavailable(str(error)) from error
        return answer

    begin = call  # type: ignore[assignment]


@dataclass(slots=True)
class Teller:
    """What was sent, and what it came to. Shape: cents by account; `open` has no answer yet."""

    bank: Any
    chance: random.Random
    cents: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    payments: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    open: tuple[str, str, str, str, int] | None = None
    number: int = 0
    repeated: int = 0
    appended: Counter[str] = field(default_factory=Counter)

    def next(self) -> tuple[str, str, str, str, int]:
        """The command to send: the one without an answer, or a new one."""
        if self.open is None:
            source, target = self.chance.sample(ACCOUNTS, 2)
            self.number += 1
            kind = self.chance.choice(("deposit", "withdraw", "transfer", "transfer", "payment", "payment"))
            self.open = (kind, f"c{self.number}", source, target, self.chance.randrange(1, 30_000))
        return self.open

    def send(self) -> None:
        """Send it, and note what it came to. Raises: Unavailable."""
        kind, name, source, target, cents = self.next()
        bank = self.bank
        try:
            if kind == "deposit":
                done = [bank.accounts.handle(source, bank.Deposit(cents, name), command_id=name)]
            elif kind == "withdraw":
                done = [bank.accounts.handle(source, bank.Withdraw(cents, name), command_id=name)]
            elif kind == "transfer":
                both = [
                    bank.accounts.to(source, bank.Withdraw(cents, name)),
                    bank.accounts.to(target, bank.Deposit(cents, name)),
                ]
                done = bank.app.handle_together(both, command_id=name)
            else:
                done = [bank.payments.handle(name, bank.Requested(source, target, cents), command_id=name)]
        except bank.TooLittle:
            self.open = None
            return
        self.repeated += done[0].repeated
        self.open = None
        self._note(kind, name, source, target, cents)

    def _note(self, kind: str, name: str, source: str, target: str, cents: int) -> None:
        if kind == "payment":
            self.payments[name] = (source, target, cents)
            return
        if kind in ("withdraw", "transfer"):
            self.cents[source] -= cents
        if kind in ("deposit", "transfer"):
            self.cents[source if kind == "deposit" else target] += cents
        self.appended[name] = 2 if kind == "transfer" else 1


def run(seed: int, kills: int, tell: Callable[[str], None], resume: Path | None = None) -> Outcome:
    """Kill nodes in rounds, each with a directory of its own; every round is read back to the cent.

    Shape:   as in transfers.py.
    """
    outcome, progress = Outcome(), Progress(resume)
    progress.into(outcome)
    for start in range(outcome.kills.total(), kills, KILLS_A_ROUND):
        chance = random.Random(f"{seed}/{start}")
        with tempfile.TemporaryDirectory(prefix="tailrace-bank-") as directory:
            _round(Path(directory), min(KILLS_A_ROUND, kills - start), chance, outcome, tell)
        if outcome.violations:
            break
        progress.keep(outcome)
    progress.forget()
    return outcome


def _round(
    directory: Path, kills: int, chance: random.Random, outcome: Outcome, tell: Callable[[str], None]
) -> None:
    node, teller = Node(directory, free_port(), ("dev", str(APP), "--no-reload")), Teller(example(), chance)
    names = iter(range(1 << 30))
    door = NodeDoor(node)
    teller.bank.app.bind_door(
        Attached(lambda: door, lambda: 1_000, lambda: f"{chance.random()}-{next(names)}")
    )
    for point in chance.sample(POINTS, kills):
        node.start(f"{point}:{1 if point == 'lease.taken' else chance.randint(2, 60)}")
        _send_until_death(node, teller)
        if node.wait_for_death(PATIENCE_S):
            outcome.kills[point] += 1
        else:
            outcome.violations.append(f"{point} was not reached; the end of its log:\n{node.tail()}")
        tell(f"bank: {outcome.kills.total()} kills, last at {point}")
    node.start()
    node.wait_until_answering()
    _open(teller)
    if teller.open is not None:
        teller.send()
    outcome.commands += teller.number
    outcome.repeated += teller.repeated
    items, lines = _settled(node, teller)
    outcome.violations += differences(teller, items, lines)
    parked = sum(handler["dead_letters"] for handler in node.status()["handlers"])
    if parked:
        outcome.violations.append(f"{parked} changes were given up")
    if (code := node.stop()) != 0:
        outcome.violations.append(f"the last node ended with exit code {code}:\n{node.tail()}")


def _open(teller: Teller) -> None:
    """Every account has its opening, once, however often this is said."""
    bank = teller.bank
    for account in ACCOUNTS:
        bank.accounts.handle(account, bank.Deposit(OPENING), command_id="opening")


def _send_until_death(node: Node, teller: Teller) -> None:
    try:
        node.wait_until_answering()
        _open(teller)
        for _ in range(MOST_SENT):
            teller.send()
    except (AssertionError, OSError, Unavailable):
        pass  # dead: what was sent last is sent again


def _settled(node: Node, teller: Teller) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The bank's items and the lines of the audit, when each payment has ended and each event has a line."""

    def read() -> list[dict[str, Any]]:
        return [*node.scan("bank"), *({"audit": line} for line in node.scan("audit"))]

    def is_enough(items: list[dict[str, Any]]) -> bool:
        ended = sum(item.get("type") in ({"S": "Settled"}, {"S": "Refused"}) for item in items)
        events = sum(_is_event(item, "account#") for item in items)
        return ended >= len(teller.payments) and sum("audit" in item for item in items) >= events

    items = at_rest(read, is_enough)
    return [item for item in items if "audit" not in item], [
        item["audit"] for item in items if "audit" in item
    ]


def _is_event(item: Mapping[str, Any], partition: str) -> bool:
    return "audit" not in item and item["pk"]["S"].startswith(partition) and item["sk"]["S"].startswith("E#")


# ---- what must hold ----------------------------------------------------------------------------------------


def differences(teller: Teller, items: list[dict[str, Any]], lines: list[dict[str, Any]]) -> list[str]:
    """Every account that is not what it must be, every command that was applied more or less than once, every
    payment that has not ended, and every event that has not one line.
    """
    ends = _ends(items)
    wanted = dict(teller.cents)
    for name, (source, target, cents) in teller.payments.items():
        if ends[name] == ["Settled"]:
            wanted[source] = wanted.get(source, 0) - cents
            wanted[target] = wanted.get(target, 0) + cents
    wrong = [f"payment {name} ended as {ends[name]}" for name in teller.payments if len(ends[name]) != 1]
    events = {account: _events(items, account) for account in ACCOUNTS}
    commands: Counter[str] = Counter()
    for account, history in events.items():
        versions = [int(item["sk"]["S"][2:]) for item in history]
        if versions != [*range(1, len(history) + 1)]:
            wrong.append(f"{account} has the versions {versions}")
        balance = sum(_cents(item) for item in history)
        if balance != OPENING + wanted.get(account, 0):
            wrong.append(f"{account} holds {balance} instead of {OPENING + wanted.get(account, 0)}")
        if min(_running(history), default=0) < 0:
            wrong.append(f"{account} was below zero")
        commands.update(item.get("command", {"S": ""})["S"] for item in history)
        kept = sorted(int(line["version"]["N"]) for line in lines if line["account"]["S"] == account)
        if kept != versions:
            wrong.append(f"{account} has lines for {kept} of {versions}")
    settled = {name for name in teller.payments if ends[name] == ["Settled"]}
    applied = teller.appended + Counter({"opening": len(ACCOUNTS)})
    applied += Counter({f"{name}-{step}": 1 for name in settled for step in ("take", "settle")})
    for name in sorted({*applied, *commands}):
        if applied[name] != commands[name]:
            wrong.append(f"command {name!r} has {commands[name]} events instead of {applied[name]}")
    return wrong


def _ends(items: list[dict[str, Any]]) -> dict[str, list[str]]:
    ends: dict[str, list[str]] = defaultdict(list)
    for item in items:
        if _is_event(item, "payment#") and item["type"]["S"] in ("Settled", "Refused"):
            ends[item["pk"]["S"].partition("#")[2]].append(item["type"]["S"])
    return ends


def _events(items: list[dict[str, Any]], account: str) -> list[dict[str, Any]]:
    partition = {"S": f"account#{account}"}
    own = [item for item in items if item["pk"] == partition and item["sk"]["S"].startswith("E#")]
    return sorted(own, key=lambda item: str(item["sk"]["S"]))


def _cents(item: dict[str, Any]) -> int:
    sign = {"Deposited": 1, "Withdrawn": -1}.get(item["type"]["S"], 0)
    return sign * int(item["data"]["M"].get("cents", {"N": "0"})["N"])


def _running(history: list[dict[str, Any]]) -> list[int]:
    balance, running = 0, []
    for item in history:
        balance += _cents(item)
        running.append(balance)
    return running
