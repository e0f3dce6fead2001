"""The contract of `TableItems`.

Rules of this file: what a page must hold is folded from the changes that were made, by their numbers. Called
by tests/contracts and by users.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from tailrace.errors import SourceError
from tailrace.ports import ItemsPage, TableItems
from tailrace.testing.contracts.rules import ContractBroken, holds, run_async, same

COUNT: Final = 25
MOST: Final = 1_000


class MadeChange(NamedTuple):
    """One change that was made. Shape: `key` the item's in hexadecimal digits, `number` what it has now, None
    for an item that was removed, `sequence` as positions are.
    """

    key: str
    number: int | None
    sequence: int


class Writing(NamedTuple):
    """How the check changes the table.

    Shape:   `put(items, name, number)` writes the item with the text `name` as its key and {"N": number} as
             its attribute `n`, `remove(items, name)` removes it: both durably. `changes(items)` are all
             changes so far, in their order; `table(items)` is what the table is called.
    """

    put: Callable[[Any, str, int], object]
    remove: Callable[[Any, str], object]
    changes: Callable[[Any], list[MadeChange]]
    table: Callable[[Any], str]


def check_table_items(make: Callable[[], TableItems], writing: Writing) -> None:
    """Whether an adapter that tells positions keeps the contract of `ports.TableItems`.

    Shape:   `make` gives an adapter over a new table without items; it is called inside a running loop.
    Raises:  ContractBroken, naming the rule.
    """
    bound = []
    for rule in RULES:
        bound_rule = partial(rule, writing=writing)
        bound_rule.__doc__ = rule.__doc__
        bound.append(bound_rule)
    run_async(bound, make)


def fold(changes: list[MadeChange], position: int) -> dict[str, int]:
    """What the changes up to a position leave, by the items' keys."""
    left: dict[str, int] = {}
    for change in changes:
        if change.sequence <= position:
            left.pop(change.key, None)
            if change.number is not None:
                left[change.key] = change.number
    return left


def numbers_of(page: ItemsPage) -> dict[str, int]:
    """What a page says, by the items' keys. Raises: ContractBroken for an item that is there twice."""
    same(len({key for key, _, _ in page.items}), len(page.items), "how many items the page has")
    return {key: int(image["n"]["N"]) for key, _, image in page.items}


def position_of(page: ItemsPage) -> int:
    """The position of a page. Raises: ContractBroken for one that tells none."""
    if page.position is None:
        raise ContractBroken("a page told no position")
    return page.position


async def all_pages(
    items: TableItems,
    writing: Writing,
    limit: int,
    segment: tuple[int, int] | None = None,
    between: Callable[[int], object] = lambda _: None,
) -> list[ItemsPage]:
    """Every page."""
    pages: list[ItemsPage] = []
    after: Mapping[str, Any] | None = None
    while True:
        page = await items.page(writing.table(items), after, limit, segment)
        holds(len(page.items) <= limit, f"{len(page.items)} items, and {limit} were asked for")
        pages.append(page)
        if (after := page.after) is None:
            return pages
        holds(len(pages) < MOST, "the table has no end")
        between(len(pages))


def put_some(items: TableItems, writing: Writing, count: int = COUNT) -> None:
    """So many items, each with its own number."""
    for number in range(count):
        writing.put(items, f"item {number}", number)


async def an_empty_table_has_an_empty_page(items: TableItems, writing: Writing) -> None:
    """A table without items is one empty page, and it has a position."""
    page = await items.page(writing.table(items), None, 10)
    same((list(page.items), page.after), ([], None), "the page of a table without items")
    writing.put(items, "later", 1)
    holds(
        position_of(page) < writing.changes(items)[-1].sequence,
        f"a change behind the page has the position {position_of(page)} or a lower one",
    )


async def every_item_comes_once(items: TableItems, writing: Writing) -> None:
    """Going on from `after` gives every item once, whatever the limit, each with its key and its image."""
    put_some(items, writing)
    for limit in (1, 7, 100):
        pages = await all_pages(items, writing, limit)
        numbers = [number for page in pages for number in numbers_of(page).values()]
        same(sorted(numbers), list(range(COUNT)), f"the items, {limit} at a time")
        for key, keys, image in [entry for page in pages for entry in page.items]:
            same({name: image.get(name) for name in keys}, dict(keys), "the key in the image")
            holds(any(change.key == key for change in writing.changes(items)), f"{key} is no key of a record")


async def a_page_is_as_of_its_position(items: TableItems, writing: Writing) -> None:
    """A page that is the whole table is exactly what the changes up to its position leave."""
    put_some(items, writing)
    for turn in range(6):
        page = await items.page(writing.table(items), None, 100)
        same(numbers_of(page), fold(writing.changes(items), position_of(page)), "the items of the page")
        newest = writing.changes(items)[-1].sequence
        holds(newest <= position_of(page), f"change {newest} was made before the page at {position_of(page)}")
        writing.put(items, f"item {turn}", 100 + turn)
        writing.remove(items, f"item {turn + 10}")
        behind = writing.changes(items)[-2].sequence
        holds(behind > position_of(page), f"change {behind} was made behind the page at {position_of(page)}")


async def each_page_has_a_position_of_its_own(items: TableItems, writing: Writing) -> None:
    """What changes between two pages is as it was in the one before, and as it is in the one after."""
    put_some(items, writing)

    def change_all(turn: int) -> None:
        for number in range(COUNT):
            if number % 5 == turn % 5:
                writing.remove(items, f"item {number}")
            else:
                writing.put(items, f"item {number}", 1_000 * turn + number)

    pages = await all_pages(items, writing, 4, between=change_all)
    holds(len(pages) > 3, f"{len(pages)} pages of 4 items")
    for page in pages:
        at = fold(writing.changes(items), position_of(page))
        seen = numbers_of(page)
        same(seen, {key: at.get(key) for key in seen}, f"items of the page at {position_of(page)}")
    positions = [position_of(page) for page in pages]
    same(positions, sorted(positions), "the positions, page after page")
    holds(positions[0] < positions[-1], "the last page has the first one's position")


async def a_page_may_be_asked_for_again(items: TableItems, writing: Writing) -> None:
    """The same question gives the same items while nothing changes."""
    put_some(items, writing)
    first = await items.page(writing.table(items), None, 5)
    for after in (None, first.after):
        pages = [await items.page(writing.table(items), after, 5) for _ in range(2)]
        same(numbers_of(pages[1]), numbers_of(pages[0]), "the items of the page that was asked for again")


async def segments_are_apart_and_together_everything(items: TableItems, writing: Writing) -> None:
    """The segments of a parallel scan have every item once between them."""
    put_some(items, writing)
    for total in (1, 2, 5):
        numbers = [
            number
            for segment in range(total)
            for page in await all_pages(items, writing, 3, (segment, total))
            for number in numbers_of(page).values()
        ]
        same(sorted(numbers), list(range(COUNT)), f"the items of {total} segments")


async def a_table_that_is_not_there_is_refused(items: TableItems, writing: Writing) -> None:
    """A table that there is not raises SourceError."""
    try:
        await items.page("no-such-table", None, 1)
    except SourceError:
        return
    raise ContractBroken("a page of a table that is not there was answered")


RULES: Final[tuple[Callable[..., Awaitable[None]], ...]] = (
    an_empty_table_has_an_empty_page,
    every_item_comes_once,
    a_page_is_as_of_its_position,
    each_page_has_a_position_of_its_own,
    a_page_may_be_asked_for_again,
    segments_are_apart_and_together_everything,
    a_table_that_is_not_there_is_refused,
)
