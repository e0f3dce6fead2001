"""The contract of `ArchiveStore`.

Rules of this file: what two writers do at once is tried with two stores over one place where the caller can
make a second one. Called by tests/contracts and by users.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, NamedTuple

from tailrace.errors import SettingsError
from tailrace.ports import ArchiveStore, Blob
from tailrace.testing.contracts.rules import ContractBroken, holds, run_async, same

BYTES: Final = bytes(range(256)) * 5
NO_NAMES: Final = (
    "",
    "/a",
    "a/",
    "a//b",
    "../a",
    "a/../b",
    ".",
    "a/.b",
    "ä",
    "a b",
    "a\n",
    "a/" * 500 + "a",
    "a" * 201,
)
WRITERS: Final = 8


class Place(NamedTuple):
    """What a rule works with: one archive, through two stores."""

    store: ArchiveStore
    other: ArchiveStore


def check_archive_store(
    make: Callable[[], ArchiveStore], *, again: Callable[[ArchiveStore], ArchiveStore] | None = None
) -> None:
    """Whether an archive keeps the contract of `ports.ArchiveStore`.

    Shape:   `make` gives a new, empty one; it is called inside a running loop. `again(store)` gives another
             store over the same place, as a second process has it; without it both writers use the one store.
    Raises:  ContractBroken, naming the rule.
    """

    def place() -> Place:
        store = make()
        return Place(store, store if again is None else again(store))

    run_async(RULES, place)


async def blobs_come_back_as_they_were(place: Place) -> None:
    """A blob comes back byte for byte, with its size; what was never written is None."""
    for name, data in (("a/b/1", BYTES), ("a/b/empty", b""), ("large=1/x_y-z.parquet", BYTES * 2_000)):
        same(await place.store.get(name), None, f"{name} before it is written")
        tag = await _written(place.store, name, data)
        for store in place:
            same(await store.get(name), Blob(data, len(data), tag), name)
    same(await place.store.get("a/b"), None, "a folder, which is no blob")
    same(await place.store.get("a/b/1/2"), None, "a name below a blob's")


async def parts_are_parts(place: Place) -> None:
    """A part is exactly the bytes that were asked for, fewer at the end, and knows the whole size."""
    await _written(place.store, "a", BYTES)
    for start, length in (
        (0, 0),
        (0, 10),
        (7, 256),
        (1_270, 100),
        (5, None),
        (1_280, 1),
        (2_000, None),
        (0, 5_000),
    ):
        expected = BYTES[start:] if length is None else BYTES[start : start + length]
        blob = await place.store.get("a", start, length)
        same(blob and (blob.data, blob.size), (expected, len(BYTES)), f"get('a', {start}, {length})")


async def lists_follow_the_text(place: Place) -> None:
    """A list gives every name with the prefix in the order of their bytes, as pages of the whole."""
    names = ["a/1", "a/10", "a/2", "a-b/1", "a=1/x", "a/b/1", "b", "ab/1", "A/1", "a_1"]
    for name in names:
        await _written(place.store, name, b"x")
    for prefix in (
        "",
        "a",
        "a/",
        "a/1",
        "a/b/",
        "a/b/1",
        "b",
        "b/",
        "nothing/at/all",
        "a/1/",
        "../",
        "/",
        "a/../",
    ):
        for after, limit in (("", None), ("a/1", None), ("a-", 2), ("a/2", 1), ("z", 1)):
            expected = [name for name in sorted(names) if name.startswith(prefix) and name > after][:limit]
            listed = await place.other.list(prefix, after=after, limit=limit)
            same(list(listed), expected, f"list({prefix!r}, after={after!r}, limit={limit})")


async def the_first_put_stays(place: Place) -> None:
    """put_if_absent writes only where nothing is; else the answer is None, for the same bytes too."""
    tag = await _written(place.store, "a", b"first")
    for data in (b"second", b"first"):
        same(await place.other.put_if_absent("a", data), None, "the answer to a second writer")
        same(await place.store.get("a"), Blob(b"first", 5, tag), "the blob")


async def puts_compare(place: Place) -> None:
    """compare_and_put replaces only what was read: else it writes nothing and answers None."""
    same(await place.store.compare_and_put("a", b"x", "no tag"), None, "the answer where nothing is")
    same(list(await place.store.list("")), [], "the names after it")
    first = await _written(place.store, "a", b"first")
    second = await place.other.compare_and_put("a", b"second", first)
    holds(second is not None, "a blob with its own tag was not replaced")
    holds(second != first, "other bytes have the same tag")
    same(await place.store.get("a"), Blob(b"second", 6, second), "the blob")
    same(await place.store.compare_and_put("a", b"third", first), None, "the answer to the old tag")
    same(await place.store.get("a"), Blob(b"second", 6, second), "the blob after it")


async def deleted_is_gone(place: Place) -> None:
    """What is deleted is in no answer, may be deleted again and written anew; its neighbours stay."""
    tag = await _written(place.store, "a/1", b"x")
    await _written(place.store, "a/10", b"y")
    for store in (*place, place.store):
        await store.delete("a/1")
    same(await place.store.get("a/1"), None, "what was deleted")
    same(list(await place.other.list("")), ["a/10"], "the names")
    same(
        await place.store.compare_and_put("a/1", b"z", tag),
        None,
        "the answer for the tag of what was deleted",
    )
    await _written(place.other, "a/1", b"again")
    same((await _held(place.store, "a/1")).data, b"again", "what was written anew")


async def one_of_many_writers_wins(place: Place) -> None:
    """Of many that write a name or replace a blob at once, exactly one succeeds: its blob is there."""
    data = [b"%d" % number * 50_000 for number in range(WRITERS)]
    tags = await asyncio.gather(
        *(place[number % 2].put_if_absent("a", blob) for number, blob in enumerate(data))
    )
    await _one_won(place, tags, data)
    held = (await _held(place.store, "a")).tag or ""
    data = [b"%d!" % number for number in range(WRITERS)]
    tags = await asyncio.gather(
        *(place[number % 2].compare_and_put("a", blob, held) for number, blob in enumerate(data))
    )
    await _one_won(place, tags, data)


async def no_reader_sees_half_a_blob(place: Place) -> None:
    """A reader gets the old blob or the new one, whole, while it is replaced."""
    old, new = b"o" * 500_000, b"n" * 700_000
    tag = await _written(place.store, "a", old)
    writing = asyncio.ensure_future(place.store.compare_and_put("a", new, tag))
    while not writing.done():
        blob = await _held(place.other, "a")
        holds(blob.data in (old, new), f"{blob.size} bytes that were never written were read")
        await asyncio.sleep(0)
    same((await _held(place.other, "a")).data, new, "the blob at last")


async def names_are_checked(place: Place) -> None:
    """A name that some archive could not keep is refused with SettingsError, and nothing is written."""
    for name in NO_NAMES:
        await _refused(partial(place.store.get, name), name)
        await _refused(partial(place.store.put_if_absent, name, b"x"), name)
        await _refused(partial(place.store.compare_and_put, name, b"x", "t"), name)
        await _refused(partial(place.store.delete, name), name)
    same(list(await place.store.list("")), [], "the names")


async def _refused(call: Callable[[], Awaitable[object]], name: str) -> None:
    try:
        await call()
    except SettingsError:
        return
    raise ContractBroken(f"{name!r} was taken as a name")


async def _written(store: ArchiveStore, name: str, data: bytes) -> str:
    tag = await store.put_if_absent(name, data)
    if tag is None:
        raise ContractBroken(f"{name}: put_if_absent says that there is a blob, and there was none")
    return tag


async def _held(store: ArchiveStore, name: str) -> Blob:
    blob = await store.get(name)
    if blob is None:
        raise ContractBroken(f"{name} is not there")
    return blob


async def _one_won(place: Place, tags: list[str | None], data: list[bytes]) -> None:
    winners = [number for number, tag in enumerate(tags) if tag is not None]
    same(len(winners), 1, "how many succeeded")
    (winner,) = winners
    for store in place:
        held = await _held(store, "a")
        same(
            (held.data == data[winner], held.tag),
            (True, tags[winner]),
            "whether the winner's blob is there, and its tag",
        )


RULES: Final[tuple[Callable[[Place], Awaitable[None]], ...]] = (
    blobs_come_back_as_they_were,
    parts_are_parts,
    lists_follow_the_text,
    the_first_put_stays,
    puts_compare,
    deleted_is_gone,
    one_of_many_writers_wins,
    no_reader_sees_half_a_blob,
    names_are_checked,
)
