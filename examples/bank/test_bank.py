"""The bank in a test world, and its decisions without any. `pytest examples/bank`."""

from pathlib import Path

import pytest

from bank import (
    Account,
    Deposit,
    Deposited,
    Open,
    Opened,
    Over,
    Requested,
    Taken,
    TooLittle,
    Withdraw,
    Withdrawn,
    accounts,
    app,
    audit,
    balances,
    bank,
    payments,
    transfer,
)
from tailrace.testing import World

pytestmark = pytest.mark.world(app)
SAMPLES = Path(__file__).parent / "samples"


def cents(name: str) -> int:
    """What an account holds."""
    return accounts.load(name).state.cents


def test_decisions_need_no_table() -> None:
    accounts.given(Opened("ann"), Deposited(500)).when(Withdraw(200)).then(Withdrawn(200))
    accounts.given(Opened("ann")).when(Open("bob")).then()
    accounts.given(Deposited(500)).when(Withdraw(501)).raises(TooLittle, "500 cents are less than 501")
    accounts.given(Opened("ann")).when(Deposit(5)).then_state(Account("ann", 5))


def test_a_transfer_moves_money_once_or_not_at_all(world: World) -> None:
    accounts.append("ann", [Opened("ann"), Deposited(500)])
    for _ in range(2):
        transfer("ann", "bob", 200, "t1")
    with pytest.raises(TooLittle):
        transfer("ann", "bob", 400, "t2")
    assert (cents("ann"), cents("bob")) == (300, 200)
    world.settle()


def test_a_payment_settles_or_is_refused_step_by_step(world: World) -> None:
    accounts.append("ann", [Opened("ann"), Deposited(500)])
    payments.handle("p1", Requested("ann", "bob", 200))
    payments.handle("p2", Requested("bob", "ann", 900))
    world.settle()
    assert (cents("ann"), cents("bob")) == (300, 200)
    assert [payments.load(name).state.status for name in ("p1", "p2")] == ["Settled", "Refused"]


def test_a_payment_that_was_refused_stays_so_when_its_step_is_repeated_after_money_came(world: World) -> None:
    payments.handle("p1", Requested("ann", "bob", 200))
    world.settle()
    accounts.append("ann", [Opened("ann"), Deposited(500)])
    take = [accounts.to("ann", Withdraw(200, "p1")), payments.to("p1", Taken())]
    with pytest.raises(Over):
        app.handle_together(take, command_id="p1-take")
    assert (cents("ann"), payments.load("p1").state.status) == (500, "Refused")
    world.settle()


def test_duplicates_and_crashes_pay_nothing_twice(world: World) -> None:
    accounts.append("ann", [Deposited(1_000)])
    with world.faults(duplicates=0.3, crash="after-effect", seed=7):
        for number in range(5):
            payments.handle(f"p{number}", Requested("ann", "bob", 100))
        world.settle()
    assert (cents("ann"), cents("bob")) == (500, 500)
    assert {payments.load(f"p{number}").state.status for number in range(5)} == {"Settled"}


def test_read_models_are_made_of_events_alone(world: World) -> None:
    accounts.handle("ann", Open("ann"), meta={"actor": "clerk"})
    accounts.handle("ann", Deposit(500))
    accounts.handle("ann", Withdraw(200))
    world.settle()
    assert app.projected(balances)["ann"] == 300
    lines = world.query(audit, "account = :a", values={":a": "ann"})
    assert [(int(line["version"]), line["by"]) for line in lines] == [
        (1, "clerk"),
        (2, "unknown"),
        (3, "unknown"),
    ]


def test_events_of_two_years_ago_are_read(world: World) -> None:
    old = {
        "pk": "account#ann", "sk": "E#000000000001", "v": 1, "type": "Deposited", "schema": 1,
        "data": {"euros": 12}, "through": 1, "append": "long ago", "recorded_ms": 1, "previous_ms": 0,
    }  # fmt: skip
    world.put(bank, old)
    accounts.handle("ann", Withdraw(200))
    world.settle()
    assert cents("ann") == 1_000
    assert app.projected(balances)["ann"] == 1_000


def test_every_schema_that_was_written_has_a_sample_that_is_read(tmp_path: Path) -> None:
    for sample in SAMPLES.glob("*.json"):
        (tmp_path / sample.name).write_bytes(sample.read_bytes())
    events = accounts.check_samples(tmp_path)
    assert Deposited(1_250, "EUR") in events
    assert len(payments.check_samples(SAMPLES.parent / "payment_samples")) == 4
    (tmp_path / "Deposited.1.json").unlink()
    with pytest.raises(AssertionError, match="no sample of Deposited schema 1"):
        accounts.check_samples(tmp_path)
