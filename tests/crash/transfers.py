"""`examples/transfers/app.py` under kills: balances agree to the cent, each transfer is applied once.

Rules of this file: the client is this process, the node another one, the app is the example as it
stands. A transfer that got no answer is sent again, unchanged; what the accounts must hold is computed
here from what was acknowledged.
"""

import http.client
import random
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import tailrace
from tests.crash.node import Node, free_port
from tests.crash.progress import Progress
from tests.patience import PATIENCE_S, at_rest

APP = Path(tailrace.__file__).parents[2] / "examples" / "transfers" / "app.py"
OPENING = Decimal("1000.00")
ACCOUNTS = 10
POINTS = (
    "write.received", "write.mutated", "commit.begun", "commit.written", "commit.done", "answer.sent",
    "lease.taken",
    "read.done", "invoke.begun", "invoke.done", "transaction.done", "checkpoint.begun", "checkpoint.done",
)  # fmt: skip
KILLS_A_ROUND = 13
MOST_SENT = 2_000


@dataclass(slots=True)
class Outcome:
    """What happened, and what should not have."""

    kills: Counter[str] = field(default_factory=Counter)
    transfers: int = 0
    violations: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Bank:
    """What the accounts must hold. Shape: balances in the currency's unit, exact."""

    chance: random.Random
    balances: dict[str, Decimal] = field(default_factory=lambda: defaultdict(lambda: OPENING))
    applied: Counter[str] = field(default_factory=Counter)
    number: int = 0
    open: dict[str, Any] | None = None

    def next(self) -> dict[str, Any]:
        """The transfer to send: the one without an answer, or a new one."""
        if self.open is None:
            source, target = self.chance.sample(range(ACCOUNTS), 2)
            self.number += 1
            self.open = {
                "id": {"S": f"t{self.number}"}, "source": {"S": f"account-{source}"},
                "target": {"S": f"account-{target}"},
                "amount": {"N": str(Decimal(self.chance.randrange(1, 9_999)) / 100)},
            }  # fmt: skip
        return self.open

    def acknowledged(self) -> None:
        """It is written: once, whatever happens."""
        assert self.open is not None
        transfer, self.open = self.open, None
        amount = Decimal(transfer["amount"]["N"])
        for account, change in ((transfer["source"]["S"], -amount), (transfer["target"]["S"], amount)):
            self.balances[account] += change
            self.applied[account] += 1


def run(seed: int, kills: int, tell: Callable[[str], None], resume: Path | None = None) -> Outcome:
    """Kill nodes in rounds, each with a directory of its own; every round is read back to the cent.

    Shape:   `resume` names a file that keeps the rounds of an interrupted campaign; a round is decided by the
             seed and its place.
    """
    outcome, progress = Outcome(), Progress(resume)
    progress.into(outcome)
    for start in range(outcome.kills.total(), kills, KILLS_A_ROUND):
        chance = random.Random(f"{seed}/{start}")
        with tempfile.TemporaryDirectory(prefix="tailrace-transfers-") as directory:
            _round(Path(directory), min(KILLS_A_ROUND, kills - start), chance, outcome, tell)
        if outcome.violations:
            break
        progress.keep(outcome)
    progress.forget()
    return outcome


def _round(
    directory: Path, kills: int, chance: random.Random, outcome: Outcome, tell: Callable[[str], None]
) -> None:
    node, bank = Node(directory, free_port(), ("dev", str(APP), "--no-reload")), Bank(chance)
    for point in chance.sample(POINTS, kills):
        node.start(f"{point}:{1 if point == 'lease.taken' else chance.randint(2, 40)}")
        _send_until_death(node, bank)
        if node.wait_for_death(PATIENCE_S):
            outcome.kills[point] += 1
        else:
            outcome.violations.append(f"{point} was not reached; the end of its log:\n{node.tail()}")
        tell(f"transfers: {outcome.kills.total()} kills, last at {point}")
    node.start()
    node.wait_until_answering()
    if bank.open is not None:
        _send(node, bank)
    outcome.transfers += bank.number
    outcome.violations += differences(bank, _settled(node, bank))
    parked = sum(handler["dead_letters"] for handler in node.status()["handlers"])
    if parked:
        outcome.violations.append(f"{parked} changes were given up")
    if (code := node.stop()) != 0:
        outcome.violations.append(f"the last node ended with exit code {code}:\n{node.tail()}")


def _send(node: Node, bank: Bank) -> None:
    node.call("PutItem", {"TableName": "transfers", "Item": bank.next()})
    bank.acknowledged()


def _send_until_death(node: Node, bank: Bank) -> None:
    try:
        node.wait_until_answering()
        for _ in range(MOST_SENT):
            _send(node, bank)
    except (AssertionError, OSError, http.client.HTTPException):
        pass  # dead: what was sent last is sent again


def _settled(node: Node, bank: Bank) -> list[dict[str, Any]]:
    """The accounts, when every transfer has arrived or nothing has moved for a while."""
    wanted = bank.applied.total()

    def is_enough(items: list[dict[str, Any]]) -> bool:
        return sum(int(item["applied"]["N"]) for item in items) >= wanted

    return at_rest(lambda: node.scan("accounts"), is_enough)


def differences(bank: Bank, items: list[dict[str, Any]]) -> list[str]:
    """Every account that is not what it must be, and the sum of all."""
    balances = {item["id"]["S"]: (Decimal(item["balance"]["N"]), int(item["applied"]["N"])) for item in items}
    wanted = {account: (bank.balances[account], times) for account, times in bank.applied.items()}
    wrong = [
        f"{account}: {balances.get(account)} instead of {wanted.get(account)}"
        for account in sorted({*balances, *wanted})
        if balances.get(account) != wanted.get(account)
    ]
    total = sum((balance for balance, _ in balances.values()), Decimal(0))
    if total != OPENING * len(balances):
        wrong.append(f"{len(balances)} accounts hold {total} instead of {OPENING * len(balances)}")
    return wrong
