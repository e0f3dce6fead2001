"""A bank whose accounts are nothing but what has happened to them.

    tailrace dev examples/bank/bank.py
    python examples/bank/teller.py             in another terminal: a few customers

Accounts and payments are aggregates. A transfer decides on two accounts in one transaction; a payment is a
process that takes one step for each event. Read models are made of events alone. README.md builds it step by
step.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Annotated, Any

from tailrace import App, Change, Client, Depends, Recorded

app = App("bank")
bank = app.table("bank", pk="pk", sk="sk")
audit = app.table("audit", pk="account", sk="version", sk_type="N")


class TooLittle(Exception):
    """The account does not hold so much."""


# ---- accounts ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Opened:
    """Somebody has an account."""

    owner: str


@dataclass(frozen=True)
class Deposited:
    """Money came. Shape: `reference` is the payment or transfer that it came by."""

    cents: int
    currency: str = "EUR"
    reference: str = ""


@dataclass(frozen=True)
class Withdrawn:
    """Money went."""

    cents: int
    reference: str = ""


@dataclass(frozen=True)
class Open:
    """Open an account; a second time it says nothing."""

    owner: str


@dataclass(frozen=True)
class Deposit:
    """Bring money."""

    cents: int
    reference: str = ""


@dataclass(frozen=True)
class Withdraw:
    """Take money, if there is enough."""

    cents: int
    reference: str = ""


@dataclass(frozen=True)
class Account:
    """What decisions need to know of an account."""

    owner: str = ""
    cents: int = 0


def decide(command: Open | Deposit | Withdraw, account: Account) -> Any:
    """What a command comes to."""
    match command:
        case Open(owner):
            return None if account.owner else Opened(owner)
        case Deposit(cents, reference):
            return Deposited(cents, reference=reference)
        case Withdraw(cents, reference):
            if account.cents < cents:
                raise TooLittle(f"{account.cents} cents are less than {cents}")
            return Withdrawn(cents, reference)


def evolve(account: Account, event: Opened | Deposited | Withdrawn) -> Account:
    """What an event does to an account."""
    match event:
        case Opened(owner):
            return replace(account, owner=owner)
        case Deposited(cents):
            return replace(account, cents=account.cents + cents)
        case Withdrawn(cents):
            return replace(account, cents=account.cents - cents)


accounts = app.aggregate(
    "account",
    bank,
    initial=Account,
    decide=decide,
    evolve=evolve,
    events=[Opened, Deposited, Withdrawn],
    snapshot_every=50,
)


@accounts.upcast("Deposited", 1)
def deposits_of_two_years_ago(data: dict[str, Any]) -> dict[str, Any]:
    """They were in euros, and there was one currency."""
    return {"cents": int(data["euros"] * 100), "currency": "EUR", "reference": data.get("reference", "")}


def transfer(source: str, target: str, cents: int, transfer_id: str) -> None:
    """Move money at once: both accounts in one transaction, or none. Raises: TooLittle."""
    app.handle_together(
        [
            accounts.to(source, Withdraw(cents, transfer_id)),
            accounts.to(target, Deposit(cents, transfer_id)),
        ],
        command_id=transfer_id,
    )


# ---- payments: a process that reacts to events -------------------------------------------------------------


@dataclass(frozen=True)
class Requested:
    """Somebody wants to pay somebody."""

    source: str
    target: str
    cents: int


@dataclass(frozen=True)
class Taken:
    """The money has left the source."""


@dataclass(frozen=True)
class Settled:
    """The money has arrived."""


@dataclass(frozen=True)
class Refused:
    """It was not paid."""

    reason: str


@dataclass(frozen=True)
class Payment:
    """How far a payment is."""

    request: Requested | None = None
    status: str = ""


class Over(Exception):
    """The payment has gone another way by now."""


def advance(event: Requested | Taken | Settled | Refused, payment: Payment) -> Any:
    """A payment's commands are the events themselves, each of which can happen once, in this order."""
    match event:
        case Requested():
            return event if payment.request is None else None
        case Taken() | Refused():
            before = "Requested"
        case Settled():
            before = "Taken"
    if payment.status != before:
        raise Over(f"it is {payment.status}")
    return event


def follow(payment: Payment, event: Requested | Taken | Settled | Refused) -> Payment:
    """How far it is after an event."""
    request = event if isinstance(event, Requested) else payment.request
    return Payment(request, type(event).__name__)


payments = app.aggregate(
    "payment",
    bank,
    initial=Payment,
    decide=advance,
    evolve=follow,
    events=[Requested, Taken, Settled, Refused],
)


@app.on(payments, concurrency=4)
def pay(change: Change[Recorded], db: Annotated[Client, Depends(app.client)]) -> None:
    """One step for each event. What a step does to an account and how far the payment is are one transaction:
    a step that is repeated finds its command's id, or that the payment has gone another way, and changes
    nothing.
    """
    payment_id, event = change.new.id, change.new.event
    match event:
        case Requested(source, _, cents):
            take = [accounts.to(source, Withdraw(cents, payment_id)), payments.to(payment_id, Taken())]
            with suppress(Over):
                try:
                    app.handle_together(take, command_id=f"{payment_id}-take", db=db)
                except TooLittle as reason:
                    payments.handle(payment_id, Refused(str(reason)), command_id="refuse", db=db)
        case Taken():
            request = payments.load(payment_id, db=db).state.request
            assert request is not None
            deposit = Deposit(request.cents, payment_id)
            settle = [accounts.to(request.target, deposit), payments.to(payment_id, Settled())]
            app.handle_together(settle, command_id=f"{payment_id}-settle", db=db)


# ---- read models -------------------------------------------------------------------------------------------


@app.projection(accounts.events, by=lambda recorded: recorded.id)
def balances(cents: int, recorded: Recorded, sign: int) -> int:
    """Each account's balance, of its events alone: a new version is built from the first event on."""
    match recorded.event:
        case Deposited(amount):
            return cents + sign * amount
        case Withdrawn(amount):
            return cents - sign * amount
    return cents


@app.on(accounts)
def trail(change: Change[Recorded]) -> None:
    """A line of the audit for each event, in order, in one transaction with its mark."""
    recorded = change.new
    line = {"account": recorded.id, "version": recorded.version, "what": repr(recorded.event)}
    change.transaction.put(audit, {**line, "by": recorded.meta.get("actor", "unknown")})
