"""The memory of a real `tailrace serve`: what clients leave behind is given back."""

import socket
import subprocess
import sys
from pathlib import Path

import orjson

from tests.patience import PATIENCE_S, eventually
from tests.serving import Client, request

UPLOAD = 15_000_000
UPLOADS = 12
"""Less than the bound over all bodies, so that none is refused."""
LEFT_KIB = 64 * 1024
"""What may stay: a fraction of what was sent, and more than an allocator keeps for itself."""

TABLE = {
    "TableName": "notes",
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


def item(id: str) -> dict[str, object]:
    """A note that an allocator puts where it puts uploads."""
    return {"TableName": "notes", "Item": {"id": {"S": id}, "text": {"S": "x" * 1_500}}}


def resident_kib(process: subprocess.Popen[str]) -> int:
    """Resident memory."""
    for line in Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


def test_memory_comes_back_after_aborted_uploads(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tailrace",
            "serve",
            "--port",
            "0",
            "--json",
            "--data",
            str(tmp_path / "data"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    try:
        assert process.stdout is not None
        port = int(orjson.loads(process.stdout.readline())["port"])
        before = resident_kib(process)
        head, _, _ = request("PutItem", b" " * (UPLOAD + 1)).partition(b"\r\n\r\n")
        clients = [socket.create_connection(("127.0.0.1", port), PATIENCE_S) for _ in range(UPLOADS)]
        with Client(port) as other:
            assert other.ask(request("CreateTable", TABLE))[0] == 200
            for client in clients:
                client.sendall(head + b"\r\n\r\n" + b" " * UPLOAD)
                for place in range(200):  # what stays, between what goes
                    assert other.ask(request("PutItem", item(f"{client.fileno()} {place}")))[0] == 200
        eventually(lambda: resident_kib(process) > before + UPLOADS * UPLOAD // 1024 // 2)
        for client in clients:
            client.close()
        eventually(
            lambda: resident_kib(process) < before + LEFT_KIB,
            lambda: f"{resident_kib(process)} KiB, {before} KiB before: memory has not come back",
        )
    finally:
        process.kill()
        process.communicate()
