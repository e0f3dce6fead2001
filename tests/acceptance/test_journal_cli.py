"""`tailrace journal verify | prove`: beside files alone, with heads that are kept and signed."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tailrace import App
from tailrace.archives import DirectoryArchive
from tailrace.cli.journal_proof import _key_bytes
from tailrace.tables.schema import TableSchema
from tailrace.testing import World
from tailrace.values.wire import read_item
from tests.command_line import tailrace
from tests.crash.node import Node, free_port
from tests.fleet import TERM, fleet
from tests.patience import eventually
from tests.terminal import on_terminal

CHECKER = Path(__file__).parents[2] / "examples" / "journal_proof" / "check.py"
NAMED = ("--table", "orders")


@pytest.fixture
def place(tmp_path: Path) -> str:
    """A journal of a table, in a directory."""
    app = App("shop")
    orders = app.table("orders", pk="id")
    app.archive(orders, DirectoryArchive(tmp_path / "history"))
    with World(app) as world:
        for number in range(12):
            world.put(orders, {"id": f"o{number % 4}", "n": number})
        world.delete(orders, {"id": "o3"})
        world.settle()
    return str(tmp_path / "history")


def keys(folder: Path) -> tuple[str, str]:
    """A private and a public key, in PEM files."""
    private = Ed25519PrivateKey.generate()
    name = private.public_key().public_bytes_raw().hex()[:8]
    secret, public = folder / f"{name}.pem", folder / f"{name}.pub"
    secret.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    public.write_bytes(
        private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return str(secret), str(public)


def test_a_journal_holds_and_its_head_is_kept_signed_and_compared(place: str, tmp_path: Path) -> None:
    secret, public = keys(tmp_path)
    _, other = keys(tmp_path)
    head = str(tmp_path / "head.json")
    first = tailrace("journal", "verify", place, *NAMED, "--head", head, "--sign", secret)
    assert first.returncode == 0, first.stderr
    assert "13 changes" in first.stdout
    assert "as written" in first.stdout
    second = tailrace("journal", "verify", place, *NAMED, "--against", head, "--signed-by", public)
    assert (second.returncode, "grown from the saved head" in second.stdout) == (0, True)
    third = tailrace("journal", "verify", place, *NAMED, "--against", head, "--signed-by", other)
    assert third.returncode != 0
    assert "is signed with another key than" in third.stderr
    kept = json.loads(Path(head).read_text(encoding="utf-8"))
    Path(head).write_text(json.dumps(kept | {"number": kept["number"] - 1}), encoding="utf-8")
    fourth = tailrace("journal", "verify", place, *NAMED, "--against", head, "--signed-by", public)
    assert "has a signature that is not that of its key" in fourth.stderr


def test_what_differs_is_named_and_the_exit_code_is_1(place: str) -> None:
    segment = next(Path(place).rglob("*.parquet"))
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 4
    segment.write_bytes(bytes(data))
    ended = tailrace("journal", "verify", place, *NAMED)
    assert ended.returncode == 1
    assert segment.name in ended.stdout
    told = json.loads(tailrace("journal", "verify", place, *NAMED, "--json").stdout)
    (journal,) = told["journals"].values()
    assert (told["holds"], journal["faults"][0]["place"].endswith(segment.name)) == (False, True)
    assert not any("next:" in fault["reason"] for fault in journal["faults"])


def test_a_head_that_cannot_be_written_is_told(place: str, tmp_path: Path) -> None:
    (tmp_path / ("n" * 255)).write_text("")
    ended = tailrace("journal", "verify", place, *NAMED, "--head", str(tmp_path / ("n" * 256)))
    assert (ended.returncode, "cannot be written: File name too long" in ended.stderr) == (1, True)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo terminals of this kind")
@pytest.mark.parametrize(
    ("verb", "words"), [(("verify", *NAMED), "reading segments"), (("merge",), "merging")], ids=str
)
def test_a_terminal_shows_how_far_it_is(tmp_path: Path, verb: tuple[str, ...], words: str) -> None:
    app, place = App("shop"), tmp_path / "history"
    orders = app.table("orders", pk="id")
    app.archive(orders, DirectoryArchive(place))
    with World(app) as world:
        for number in range(3):
            world.put(orders, {"id": f"o{number}"})
            world.settle()
    name, *more = verb
    typed = ["-m", "tailrace", "journal", name, str(place), *more]
    code, shown = on_terminal(typed)
    assert code == 0, shown
    assert words in shown
    assert re.search(r"\d+ of \d+ segments", shown), shown
    code, shown = on_terminal([*typed, "--json"])
    assert (code, words in shown) == (0, False)


@pytest.mark.parametrize("verb", [("verify", *NAMED), ("merge",)])
def test_without_pyarrow_the_extra_is_named(
    verb: tuple[str, ...], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for room in ("merging", "segments"):
        monkeypatch.delitem(sys.modules, f"tailrace.journal.run.{room}", raising=False)
    ended = tailrace("journal", verb[0], place, *verb[1:])
    assert (ended.returncode, "needs the extra `history`" in ended.stderr) == (1, True)


def test_a_change_is_proved_without_tailrace(place: str, tmp_path: Path) -> None:
    head = str(tmp_path / "head.json")
    tailrace("journal", "verify", place, *NAMED, "--head", head)
    proof = tailrace("journal", "prove", place, *NAMED, '{"id": "o2"}')
    assert proof.returncode == 0, proof.stderr
    (tmp_path / "proof.json").write_text(proof.stdout, encoding="utf-8")
    command = [sys.executable, "-I", str(CHECKER), "proof.json", head]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout.startswith("proved that")) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("verify", "nowhere", *NAMED), "nowhere is no directory"),
        (("status", "~nobody.at.all/history"), "in the home of nobody who is known here"),
        (("verify", ".", *NAMED), "there is no journal of table orders here"),
        (("verify", ".", *NAMED, "--sign", __file__), "say where"),
        (("verify", ".", *NAMED, "--head", "nowhere/head.json"), "there is no directory nowhere"),
        (("verify", ".", *NAMED, "--against", __file__), "is no head of a journal"),
        (("prove", ".", *NAMED, "o1"), "is no key as JSON"),
        (("prove", ".", *NAMED, '{"id": true}'), "a key is a text, a number"),
        (("prove", ".", *NAMED, '{"id": {}}'), "a key is a text, a number"),
        (("prove", ".", *NAMED, '{"id": {"Q": "o1"}}'), "a key is a text, a number"),
        (("prove", ".", *NAMED, '{"id": {"B": "?"}}'), "is no key: "),
        (("prove", ".", *NAMED, '{"id": NaN}'), "a key is a text, a number"),
        (("prove", ".", *NAMED, '{"id": "o1"}', "--version", "7"), "is no version"),
        (("prove", ".", *NAMED, '{"id": "o1"}'), "there is no journal of table orders here"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(
    arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    ended = tailrace("journal", *arguments, cwd=tmp_path)
    assert ended.returncode != 0
    assert words in ended.stderr


@pytest.mark.parametrize("number", ["9.9999999999999999999999999999999999999E+125", "-1e-130", "7", "7.0"])
def test_a_key_has_every_digit_that_was_typed(number: str) -> None:
    schema = TableSchema("", 0, "", "pk", "S", range_name="sk", range_type="N")
    key = schema.key_bytes(read_item({"pk": {"S": "7"}, "sk": {"N": number}}))
    assert _key_bytes(f'{{"pk": "7", "sk": {number}}}') == key
    assert _key_bytes(f'{{"pk": {{"S": "7"}}, "sk": {{"N": "{number}"}}}}') == key


def test_a_change_that_is_not_there_is_named_with_those_that_are(place: str) -> None:
    ended = tailrace("journal", "prove", place, *NAMED, '{"id": "o9"}')
    assert "the journal has no change of that key" in ended.stderr
    version = "1" * 66
    other = tailrace("journal", "prove", place, *NAMED, '{"id": "o1"}', "--version", version)
    assert "its last ones are 0000000001" in other.stderr


def test_status_says_why_a_journal_waits_and_it_goes_on_by_itself(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        'from tailrace import App\n\napp = App("shop")\norders = app.table("orders", pk="id")\n'
        f"app.archive(orders, {str(tmp_path / 'mounted' / 'history')!r})\n"
    )
    (tmp_path / "mounted").write_text("what is there before the disk is mounted")
    node = Node(tmp_path, free_port(), ("dev", str(tmp_path / "app.py"), "--no-reload"))
    node.start()
    try:
        node.wait_until_answering()
        node.call("PutItem", {"TableName": "orders", "Item": {"id": {"S": "o1"}}})

        def said() -> str:
            return tailrace("status", *node.place).stdout

        eventually(lambda: "orders.archive waits in" in said() and "Not a directory" in said())
        (tmp_path / "mounted").unlink()

        def archived() -> list[tuple[int, list[str]]]:
            told = tailrace("journal", "status", "mounted/history", "--json", cwd=tmp_path)
            return [(one["changes"], one["gaps"]) for one in json.loads(told.stdout or "[]")]

        eventually(lambda: archived() == [(1, [])])
        assert "waits in" not in said()
    finally:
        node.stop()


def test_a_worker_of_a_fleet_begins_a_journal_with_the_table_as_it_is(tmp_path: Path) -> None:
    with fleet(tmp_path) as ground:
        (ground.path / "app.py").write_text(
            'from tailrace import App\n\napp = App("fleet")\norders = app.table("orders", pk="id")\n'
            f"app.archive(orders, {str(tmp_path / 'history')!r})\n"
        )
        ground.create_state()
        ground.create_table(stream=False)
        ground.write(5, 0, 1)
        ground.call(
            "UpdateTable",
            {
                "TableName": "orders",
                "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
            },
        )
        worker = ground.worker()
        ground.write(2, 1, 2)

        def archived() -> list[Any]:
            told = tailrace("journal", "status", "history", "--json", cwd=tmp_path)
            return [(one["changes"], one["base"]) for one in json.loads(told.stdout or "[]")]

        eventually(lambda: len(told := archived()) == 1 and told[0][0] >= 2 and told[0][1] is not None)
        ((_, base),) = archived()
        assert (base["rows"], base["is_exact"], base["source"]) == (5, True, "")
        assert worker.end(TERM)[0] == 0
