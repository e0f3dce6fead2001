"""Aggregates as users declare and use them: in the world, over boto3, awaited, tested, refused."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import pytest

from tailrace import App, AsyncClient, Change, Client, Depends
from tailrace.aggregates.run.handling import Decided
from tailrace.app.aggregate import Aggregate
from tailrace.app.typed import entity_among
from tailrace.errors import Conflict, ItemError, MissingEvents, SettingsError
from tailrace.testing import World
from tests.bank import (
    Account,
    Deposit,
    Deposited,
    Open,
    Opened,
    TooLittle,
    Withdraw,
    Withdrawn,
    bank_app,
    decide,
    evolve,
    served,
)


@dataclass(frozen=True)
class Closed:
    reason: str


def bank() -> tuple[App, Aggregate[Account], Any]:
    app, accounts = bank_app()
    return app, accounts, served(app)[1]


# ---- handling ----------------------------------------------------------------------------------------------


def test_a_command_answers_events_state_and_version() -> None:
    _, accounts, _ = bank()
    assert accounts.handle("a1", Open("ann")) == Decided("a1", Account("ann"), 1, (Opened("ann"),))
    assert accounts.handle("a1", Deposit(5, times=2)).version == 3
    assert accounts.load("a1").state == Account("ann", 10)
    assert [recorded.event for recorded in accounts.read("a1")] == [Opened("ann"), Deposited(5), Deposited(5)]


def test_a_command_that_came_to_nothing_before_any_event_is_answered_as_the_first_time() -> None:
    app = App("notes")
    table = app.table("notes", pk="pk", sk="sk")
    notes: Aggregate[Any] = app.aggregate(
        "note", table, initial=list, decide=lambda command, state: command or None,
        evolve=lambda state, event: [*state, event], events=[Opened],
    )  # fmt: skip
    served(app)
    first = notes.handle("n1", [], command_id="c1")
    assert (first.version, first.events) == (0, ())
    for _ in range(2):
        assert notes.handle("n1", [], command_id="c1") == replace(first, repeated=True)
        notes.handle("n1", Opened("ann"))


@pytest.mark.parametrize("expected", [-1, "1", True, 1.0])
def test_what_is_no_version_is_expected_of_nothing(expected: Any) -> None:
    _, accounts, _ = bank()
    with pytest.raises(SettingsError, match=r"is not allowed; it is a version, 0 \(no event yet\) or None"):
        accounts.handle("a1", Open("ann"), expected=expected)
    with pytest.raises(SettingsError, match="meta: 'clerk' is not allowed"):
        accounts.handle("a1", Open("ann"), meta="clerk")  # type: ignore[arg-type]


def test_a_command_with_an_id_is_applied_once_and_answered_as_the_first_time() -> None:
    _, accounts, _ = bank()
    first = accounts.handle("a1", Deposit(5), command_id="c1")
    accounts.handle("a1", Deposit(7))
    again = accounts.handle("a1", Deposit(5), command_id="c1")
    assert again == replace(first, repeated=True)
    assert accounts.load("a1").state.balance == 12


def test_a_command_that_decided_nothing_is_remembered_too() -> None:
    _, accounts, _ = bank()
    accounts.handle("a1", Open("ann"))
    assert accounts.handle("a1", Open("bob"), command_id="c1").events == ()
    assert accounts.handle("a1", Deposit(5), command_id="c1").repeated
    assert accounts.load("a1").version == 1


def test_a_refused_command_appends_nothing_and_may_come_again() -> None:
    _, accounts, _ = bank()
    with pytest.raises(TooLittle):
        accounts.handle("a1", Withdraw(5), command_id="c1")
    accounts.handle("a1", Deposit(5))
    assert accounts.handle("a1", Withdraw(5), command_id="c1").events == (Withdrawn(5),)


def test_an_expected_version_that_is_not_there_is_a_conflict() -> None:
    _, accounts, _ = bank()
    accounts.handle("a1", Open("ann"), expected=0)
    with pytest.raises(Conflict, match="account 'a1': no event yet was expected, and it has version 1"):
        accounts.handle("a1", Open("ann"), expected=0)
    accounts.handle("a1", Deposit(1), expected=1)
    with pytest.raises(Conflict) as refused:
        accounts.handle("a1", Deposit(1), expected=1)
    assert (refused.value.expected, refused.value.actual) == (1, 2)


class Busy:
    """A door behind which another writer is always faster."""

    def __init__(self, door: Any, accounts: Aggregate[Account], id: str = "a1") -> None:
        self.door, self.accounts, self.id = door, accounts, id
        self.reads = self.writes = 0

    def call(self, operation: str, members: Any) -> Any:
        if operation in ("Query", "GetItem"):
            self.reads += 1
        else:
            self.writes += 1
            self.accounts.append(self.id, [Deposited(1)], db=self.door)
        return self.door.call(operation, members)

    begin = call


def test_a_lost_append_is_decided_again_without_a_read_and_gives_up_after_its_attempts() -> None:
    _, accounts, door = bank()
    busy = Busy(door, accounts)
    with pytest.raises(Conflict, match=r"lost 3 times .* 'a1' \(decided on version 2, now 3\)"):
        accounts.handle("a1", Deposit(100), db=busy, attempts=3)
    assert (busy.reads, busy.writes) == (1, 3)


def test_of_several_aggregates_the_one_that_lost_is_named() -> None:
    app, accounts, door = bank()
    accounts.append("a1", [Deposited(50)])
    busy = Busy(door, accounts, "a2")
    commands = [accounts.to("a1", Withdraw(5)), accounts.to("a2", Deposit(5))]
    with pytest.raises(Conflict, match=r"account 'a2' \(decided on version 15, now 16\)") as refused:
        app.handle_together(commands, db=busy)
    assert refused.value.aggregate == "account 'a2'"
    assert accounts.load("a1").state.balance == 50


def test_commands_of_several_aggregates_are_applied_together_or_not_at_all() -> None:
    app, accounts, _ = bank()
    accounts.append("a1", [Deposited(50)])
    transfer = [accounts.to("a1", Withdraw(20)), accounts.to("a2", Deposit(20))]
    first = app.handle_together(transfer, command_id="t1")
    again = app.handle_together(transfer, command_id="t1")
    assert again == [replace(one, repeated=True) for one in first]
    with pytest.raises(TooLittle):
        app.handle_together([accounts.to("a2", Deposit(90)), accounts.to("a1", Withdraw(90))])
    assert [accounts.load(name).state.balance for name in ("a1", "a2")] == [30, 20]


def test_an_aggregate_is_named_once_and_at_least_one_is() -> None:
    app, accounts, _ = bank()
    with pytest.raises(SettingsError, match="account 'a1' is named twice"):
        app.handle_together([accounts.to("a1", Deposit(1)), accounts.to("a1", Deposit(1))])
    with pytest.raises(SettingsError, match=r"\[\] is not allowed"):
        app.handle_together([])


def test_an_id_of_a_command_for_other_aggregates_is_named() -> None:
    app, accounts, _ = bank()
    accounts.handle("a1", Deposit(1), command_id="c1")
    with pytest.raises(MissingEvents, match="'a2': command 'c1' was handled before"):
        app.handle_together([accounts.to("a1", Deposit(1)), accounts.to("a2", Deposit(1))], command_id="c1")


def test_a_deleted_event_is_named_instead_of_a_wrong_state() -> None:
    _, accounts, door = bank()
    accounts.append("a1", [Deposited(1), Deposited(2), Deposited(3)])
    key = accounts.place("a1").key("E#000000000002")
    door.call("DeleteItem", {"TableName": "bank", "Key": key})
    with pytest.raises(MissingEvents, match="account 'a1': event 2 is not in table bank"):
        accounts.load("a1")
    with pytest.raises(MissingEvents, match="event 2"):
        accounts.handle("a1", Deposit(1))


def test_meta_and_time_are_kept_with_each_event() -> None:
    _, accounts, _ = bank()
    accounts.handle("a1", Open("ann"), meta={"actor": "clerk"})
    accounts.handle("a1", Deposit(5, times=2))
    first, second, third = accounts.read("a1")
    assert first.meta == {"actor": "clerk"}
    assert first.previous_ms == 0
    assert second.previous_ms == first.recorded_ms > 0
    assert (second.through, third.through) == (3, 3)


# ---- snapshots ---------------------------------------------------------------------------------------------


class Counting:
    """A door that counts the items that reads answer."""

    def __init__(self, door: Any) -> None:
        self.door, self.items, self.queries = door, 0, 0

    def call(self, operation: str, members: Any) -> Any:
        answer = self.door.call(operation, members)
        self.queries += operation == "Query"
        self.items += len(answer.get("Items", ()))
        return answer

    begin = call


def test_a_snapshot_saves_reading_what_is_before_it() -> None:
    app, accounts = bank_app(snapshot_every=10)
    door = Counting(served(app)[1])
    for _ in range(53):
        accounts.handle("a1", Deposit(1))
    loaded = accounts.load("a1", db=door)
    assert (loaded.state.balance, loaded.version) == (53, 53)
    assert door.queries == 1
    assert door.items <= 11


def test_without_snapshots_none_is_kept() -> None:
    _, accounts, door = bank()
    accounts.append("a1", [Deposited(1)] * 50)
    assert "Item" not in door.call("GetItem", {"TableName": "bank", "Key": accounts.place("a1").key("S")})


def test_a_state_that_cannot_be_kept_is_refused_where_it_is_declared() -> None:
    app = App("bank")
    table = app.table("bank", pk="pk", sk="sk")
    with pytest.raises(SettingsError, match="int is no class with fields"):
        app.aggregate(
            "n", table, initial=lambda: 0, decide=lambda c, s: c, evolve=lambda s, e: s + 1, events=[Opened],
            snapshot_every=5,
        )  # fmt: skip


# ---- where they are ----------------------------------------------------------------------------------------


def test_without_a_database_it_is_said_how_to_give_one() -> None:
    _, accounts = bank_app()
    with pytest.raises(SettingsError, match=r"no DynamoDB is attached(.|\n)*Depends(.|\n)*attach"):
        accounts.load("a1")


def test_any_endpoint_is_attached_by_its_client() -> None:
    app, accounts = bank_app(snapshot_every=2)
    with World(app, seed=1) as world:
        app.attach(world.client("dynamodb"))
        accounts.append("a1", [Deposited(50)])
        accounts.handle("a1", Deposit(5, times=2), command_id="c1")
        assert accounts.handle("a1", Deposit(5, times=2), command_id="c1").repeated
        with pytest.raises(Conflict):
            accounts.handle("a1", Deposit(5), expected=2)
        busy = Busy(app.attached.door(), accounts)
        with pytest.raises(Conflict, match="lost 2 times"):
            accounts.handle("a1", Deposit(100), db=busy, attempts=2)
        assert busy.reads == 1  # the refusal of a real client shows the event, too
        commands = [accounts.to("a1", Withdraw(60)), accounts.to("a2", Deposit(60))]
        assert app.handle_together(commands, db=Busy(app.attached.door(), accounts, "a3"))[1].version == 1


def test_over_an_async_client_the_answer_is_awaited() -> None:
    app, accounts, door = bank()
    db = AsyncClient(door, entity_among(app.tables))

    async def both() -> Decided[Account]:
        await accounts.handle("a1", Deposit(5), db=db, command_id="c1")
        assert (await accounts.load("a1", db=db)).version == 1
        assert [one.version for one in await accounts.read("a1", db=db)] == [1]
        await accounts.append("a1", [Deposited(1)], db=db)
        await app.handle_together([accounts.to("a1", Withdraw(1)), accounts.to("a2", Deposit(1))], db=db)
        return await accounts.handle("a1", Deposit(5), db=db, command_id="c1")

    assert asyncio.run(both()).repeated


def test_a_handler_handles_commands_with_its_client() -> None:
    app, accounts = bank_app()

    @app.on(accounts)
    def bonus(change: Change[Any], db: Annotated[Client, Depends(app.client)]) -> None:
        if isinstance(change.new.event, Opened):
            accounts.handle(change.new.id, Deposit(100), command_id=f"bonus-{change.event_id}", db=db)

    @app.on(accounts, id="awaited")
    async def also(change: Change[Any], db: Annotated[AsyncClient, Depends(app.async_client)]) -> None:
        if isinstance(change.new.event, Opened):
            await accounts.handle(change.new.id, Deposit(1), command_id=f"also-{change.event_id}", db=db)

    with World(app, seed=3) as world:
        accounts.handle("a1", Open("ann"))
        world.settle()
        assert accounts.load("a1").state == Account("ann", 101)


def test_a_handler_without_a_client_is_told_what_to_write() -> None:
    app, accounts = bank_app()

    @app.on(accounts)
    def bonus(change: Change[Any]) -> None:
        accounts.load(change.new.id)

    with World(app, seed=3, allow_failures=True) as world:
        accounts.handle("a1", Open("ann"))
        world.settle()
        (letter,) = app.dlq(bonus)
        assert "Annotated[Client, Depends(app.client)]" in letter["error"]


def test_events_are_an_entity_for_projections() -> None:
    app, accounts = bank_app()

    @app.projection(accounts.events, by=lambda recorded: recorded.id)
    def balances(total: int, recorded: Any, sign: int) -> int:
        match recorded.event:
            case Deposited(amount):
                return total + sign * amount
            case Withdrawn(amount):
                return total - sign * amount
        return total

    with World(app, seed=1) as world:
        accounts.append("a1", [Opened("ann"), Deposited(5), Withdrawn(2)])
        world.settle()
        assert app.projected(balances)["a1"] == 3


# ---- declaring ---------------------------------------------------------------------------------------------


def test_a_class_with_the_three_functions_is_an_aggregate() -> None:
    app = App("bank")
    table = app.table("bank", pk="pk", sk="sk")

    @app.aggregate(table, events=[Opened, Deposited, Withdrawn])
    class Accounts:
        def initial(self) -> Account:
            return Account()

        def decide(self, command: Any, state: Account) -> list[Any]:
            return decide(command, state)

        def evolve(self, state: Account, event: Any) -> Account:
            return evolve(state, event)

    served(app)
    Accounts.handle("a1", Deposit(5))
    assert Accounts.name == "accounts"
    assert Accounts.load("a1").state.balance == 5


def test_a_class_that_lacks_a_function_is_refused() -> None:
    app = App("bank")
    table = app.table("bank", pk="pk", sk="sk")
    with pytest.raises(SettingsError, match="Accounts has no evolve"):

        @app.aggregate(table, events=[Opened])
        class Accounts:
            def initial(self) -> None: ...
            def decide(self, command: Any, state: None) -> None: ...


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([], "name the classes of its events"),
        ({"a": Opened, "b": Opened}, "one class is named twice"),
        ([int], "int is no class with fields"),
    ],
)
def test_events_that_are_none_are_refused(events: Any, words: str) -> None:
    app = App("bank")
    table = app.table("bank", pk="pk", sk="sk")
    with pytest.raises(SettingsError, match=words):
        app.aggregate("account", table, initial=Account, decide=decide, evolve=evolve, events=events)


def test_a_table_needs_two_keys_of_text() -> None:
    app = App("bank")
    for table in (app.table("one", pk="pk"), app.table("two", pk="pk", sk="sk", sk_type="N")):
        with pytest.raises(SettingsError, match="needs a partition key and a sort key, both texts"):
            app.aggregate("account", table, initial=Account, decide=decide, evolve=evolve, events=[Opened])


def test_two_aggregates_share_a_table_by_their_names() -> None:
    app, accounts = bank_app()
    table = app.tables["bank"]
    cards = app.aggregate("card", table, initial=Account, decide=decide, evolve=evolve, events=[Opened])
    served(app)
    accounts.handle("a1", Open("ann"))
    cards.handle("a1", Open("bob"))
    assert (accounts.load("a1").state.owner, cards.load("a1").state.owner) == ("ann", "bob")
    with pytest.raises(SettingsError, match="cannot be told apart"):
        app.aggregate("card", table, initial=Account, decide=decide, evolve=evolve, events=[Opened])


def test_wrong_input_is_refused_in_words() -> None:
    _, accounts, _ = bank()
    with pytest.raises(ItemError, match="Closed"):
        accounts.append("a1", [Closed("x")])
    with pytest.raises(SettingsError, match="expected=-1 is not allowed"):
        accounts.handle("a1", Deposit(1), expected=-1)
    with pytest.raises(SettingsError, match="attempts: 0"):
        accounts.handle("a1", Deposit(1), attempts=0)
    with pytest.raises(ItemError, match="id: '' cannot stand in a key"):
        accounts.handle("", Deposit(1))
    with pytest.raises(ItemError, match="command_id: '' cannot stand in a key"):
        accounts.handle("a1", Deposit(1), command_id="")
    with pytest.raises(ItemError, match="7 is no id"):
        accounts.load(7)  # type: ignore[call-overload]
    with pytest.raises(ItemError, match=r"appended by account.handle"):
        accounts.events.encode(accounts.handle("a1", Open("x")) and accounts.read("a1")[0])


def test_what_decide_and_evolve_answer_is_checked() -> None:
    app = App("bank")
    table = app.table("bank", pk="pk", sk="sk")
    odd = app.aggregate(
        "odd", table, initial=Account, decide=lambda command, state: command, evolve=lambda s, e: None,
        events=[Opened],
    )  # fmt: skip
    served(app)
    with pytest.raises(ItemError, match="odd: decide answered 'text': its events are Opened"):
        odd.handle("a1", "text")
    with pytest.raises(ItemError, match="evolve returned None for Opened"):
        odd.handle("a1", Opened("ann"))


# ---- given, when, then -------------------------------------------------------------------------------------


def test_decisions_are_tested_without_a_table() -> None:
    _, accounts = bank_app()
    accounts.given(Opened("ann"), Deposited(5)).when(Withdraw(3)).then(Withdrawn(3)).then_state(
        Account("ann", 2)
    )
    accounts.given(Opened("ann")).when(Open("bob")).then()
    accounts.given(Deposited(5)).when(Withdraw(6)).raises(TooLittle, "5 is less than 6")


@pytest.mark.parametrize("at", [None, "a1"])
def test_what_does_not_hold_fails(at: str | None) -> None:
    app, accounts = bank_app()
    served(app)

    def given(*events: Any) -> Any:
        started = accounts.given(*events)
        return started if at is None else started.at(f"{at}{len(events)}")

    with pytest.raises(AssertionError, match=r"Withdrawn\(amount=3\)\ninstead of\n  nothing"):
        given(Deposited(5)).when(Withdraw(3)).then()
    with pytest.raises(TooLittle):
        given().when(Withdraw(3)).then()
    with pytest.raises(AssertionError, match="instead of TooLittle"):
        given(Deposited(5), Deposited(5)).when(Withdraw(3)).raises(TooLittle)
    with pytest.raises(AssertionError, match="does not say 'nothing'"):
        given(*[Deposited(0)] * 3).when(Withdraw(3)).raises(TooLittle, "nothing")
    with pytest.raises(TooLittle):
        given(*[Deposited(0)] * 4).when(Withdraw(3)).raises(KeyError)
    with pytest.raises(AssertionError, match="the state is"):
        given(*[Deposited(1)] * 5).when(Withdraw(3)).then_state(Account())


def test_in_the_world_handlers_see_what_a_test_decides() -> None:
    app, accounts = bank_app()
    seen: list[Any] = []

    @app.on(accounts)
    def note(change: Change[Any]) -> None:
        seen.append(change.new.event)

    with World(app, seed=1) as world:
        accounts.given(Opened("ann"), Deposited(5)).at("a1").when(Withdraw(3)).then(Withdrawn(3))
        world.settle()
    assert seen == [Opened("ann"), Deposited(5), Withdrawn(3)]


# ---- schemas -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Paid:
    cents: int
    currency: str = "EUR"


def paid_app() -> Aggregate[list[Any]]:
    app = App("pay")
    table = app.table("pay", pk="pk", sk="sk")
    payments = app.aggregate(
        "payment", table, initial=list, decide=lambda command, state: command,
        evolve=lambda state, event: [*state, event], events=[Paid],
    )  # fmt: skip
    served(app)
    return payments


def old(payments: Aggregate[Any], type: str, schema: int, **data: Any) -> Any:
    from tailrace.app.plain import to_item

    return payments.model.read_data("a sample", type, schema, to_item(data))


def upcast_twice(payments: Aggregate[Any]) -> None:
    @payments.upcast("Paid", 1)
    def to_cents(data: dict[str, Any]) -> dict[str, Any]:
        return {"cents": int(data["euros"] * 100)}

    @payments.upcast("Paid", 2)
    def with_currency(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "currency": "EUR"}

    @payments.upcast("MoneyPaid", 1, into="Paid")
    def renamed(data: dict[str, Any]) -> dict[str, Any]:
        return {"euros": data["sum"]}


def test_old_events_are_read_as_todays_step_by_step() -> None:
    payments = paid_app()
    upcast_twice(payments)
    assert old(payments, "Paid", 1, euros=3) == Paid(300)
    assert old(payments, "Paid", 2, cents=3) == Paid(3)
    assert old(payments, "MoneyPaid", 1, sum=4) == Paid(400)
    payments.append("p", [Paid(1, "USD")])
    (recorded,) = payments.read("p")
    assert (recorded.schema, recorded.event) == (3, Paid(1, "USD"))


def test_what_cannot_be_read_is_named() -> None:
    payments = paid_app()
    with pytest.raises(ItemError, match="a sample: 'Refunded' is an unknown event: its events are Paid"):
        old(payments, "Refunded", 1)
    with pytest.raises(ItemError, match=r"Paid has schema 2, and this code knows 1: .* newer code"):
        old(payments, "Paid", 2, cents=1)
    payments.upcast("Paid", 1)(lambda data: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(ItemError, match="the upcaster of Paid 1 returned None, which is no dict"):
        old(payments, "Paid", 1)


def test_upcasters_that_cannot_be_are_refused() -> None:
    payments = paid_app()
    with pytest.raises(SettingsError, match="0 is not allowed; the first schema version is 1"):
        payments.upcast("Paid", 0)(dict)
    with pytest.raises(SettingsError, match="'Gone' is no event of today"):
        payments.upcast("Gone", 1)(dict)
    with pytest.raises(SettingsError, match="into 'Nowhere'"):
        payments.upcast("Gone", 1, into="Nowhere")(dict)
    with pytest.raises(SettingsError, match="'Paid' is an event of today, and cannot become"):
        payments.upcast("Paid", 1, into="Paid")(dict)
    payments.upcast("Paid", 2)(dict)
    with pytest.raises(SettingsError, match="Paid 2 has an upcaster already"):
        payments.upcast("Paid", 2)(dict)
    with pytest.raises(SettingsError, match="an upcaster from schema 2 and none from 1"):
        payments.check_samples(".")


def sampled(directory: Path) -> None:
    """What two years have left: a sample of each schema, as it was written."""
    before = paid_app()
    before.write_sample(directory, Paid(1))
    text = (directory / "Paid.1.json").read_text().replace("cents", "euros")
    (directory / "Paid.1.json").write_text(text)
    (directory / "Paid.2.json").write_text(
        text.replace('"schema": 1', '"schema": 2').replace("euros", "cents")
    )
    (directory / "MoneyPaid.1.json").write_text(text.replace('"Paid"', '"MoneyPaid"').replace("euros", "sum"))


def test_samples_of_every_schema_are_read_with_todays_code(tmp_path: Path) -> None:
    sampled(tmp_path)
    payments = paid_app()
    upcast_twice(payments)
    with pytest.raises(AssertionError, match=r"no sample of Paid schema 3: payment.write_sample"):
        payments.check_samples(tmp_path)
    payments.write_sample(tmp_path, Paid(7, "USD"), name="dollars")
    assert payments.check_samples(tmp_path) == [Paid(100), Paid(100), Paid(1), Paid(7, "USD")]


def test_an_upcaster_that_does_not_read_a_sample_is_named(tmp_path: Path) -> None:
    sampled(tmp_path)
    (tmp_path / "MoneyPaid.1.json").unlink()
    payments = paid_app()
    payments.upcast("Paid", 1)(lambda data: {"cents": data["pounds"]})
    with pytest.raises(AssertionError, match=r"Paid\.1\.json: KeyError: 'pounds'"):
        payments.check_samples(tmp_path)
    forgetting = paid_app()
    forgetting.upcast("Paid", 1)(lambda data: {})
    with pytest.raises(AssertionError, match=r"Paid\.1\.json: ItemError: payment: .* Paid 1, upcast"):
        forgetting.check_samples(tmp_path)


def test_a_sample_is_never_rewritten(tmp_path: Path) -> None:
    payments = paid_app()
    assert payments.write_sample(tmp_path, Paid(1)) == payments.write_sample(tmp_path, Paid(1))
    with pytest.raises(SettingsError, match=r"Paid\.1\.json is another sample: (.|\n)*upcaster from"):
        payments.write_sample(tmp_path, Paid(2))


def orders_of(events: Sequence[Any]) -> list[str]:
    return [type(event).__name__ for event in events]


def test_a_generator_a_single_event_and_nothing_are_answers_of_decide() -> None:
    app = App("bank")
    table = app.table("bank", pk="pk", sk="sk")
    answers = iter([Opened("a"), (Deposited(n) for n in (1, 2)), None, ()])
    any_way = app.aggregate(
        "any", table, initial=Account, decide=lambda command, state: next(answers), evolve=evolve,
        events=[Opened, Deposited],
    )  # fmt: skip
    served(app)
    decided = [any_way.handle("a1", None).events for _ in range(4)]
    assert [orders_of(events) for events in decided] == [["Opened"], ["Deposited"] * 2, [], []]
