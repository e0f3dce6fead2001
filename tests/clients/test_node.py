"""The AWS SDK for JavaScript v3 and dynamodb-admin, unmodified, as processes of Node.

Rules of this file: `make clients` installs them, from a lock with hashes; `make test` runs what is installed.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from tests.crash.node import free_port
from tests.patience import PATIENCE_S, eventually

HERE = Path(__file__).parent / "node"
MODULES = HERE / "node_modules"
pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not MODULES.is_dir(), reason="make clients installs the clients of Node"
)


def told(script: str, endpoint: str, table: str) -> Any:
    """What a script of ours prints as JSON."""
    ran = subprocess.run(
        ["node", str(HERE / script), endpoint, table],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_the_sdk_for_javascript_does_real_work(endpoint: str, table: str) -> None:
    assert told("work.mjs", endpoint, table) == {"keys": 25, "records": 27, "first": ["INSERT", "MODIFY"]}


def test_the_sdk_for_javascript_does_all_of_kinesis_over_http_2(endpoint: str, table: str) -> None:
    assert told("kinesis.mjs", endpoint, table) == {
        "protocol": "h2",
        "seen": ["zero", "one", "two"],
        "last": None,
        "children": ["shardId-000000000001", "shardId-000000000002"],
    }


@pytest.fixture
def admin(endpoint: str) -> Iterator[str]:
    """dynamodb-admin on a free port of this machine."""
    port = free_port()
    environment = {
        **os.environ,
        "DYNAMO_ENDPOINT": endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
    }
    process = subprocess.Popen(
        [str(MODULES / ".bin" / "dynamodb-admin"), "--host", "127.0.0.1", "--port", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: answers(url))
        yield url
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def answers(url: str) -> bool:
    """Whether a process listens there."""
    try:
        urlopen(url).close()
    except (URLError, ConnectionError):
        return False
    return True


def asked(url: str, method: str = "GET", body: object = None) -> str:
    """What the program answers."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data=data, method=method, headers={"content-type": "application/json"})
    with urlopen(request, timeout=PATIENCE_S) as answer:
        text: str = answer.read().decode()
    return text


def test_dynamodb_admin_makes_a_table_and_keeps_items_in_it(admin: str, endpoint: str, table: str) -> None:
    definition = {
        "TableName": table,
        "HashAttributeName": "id",
        "HashAttributeType": "S",
        "ReadCapacityUnits": 3,
        "WriteCapacityUnits": 3,
    }
    index = {
        "IndexName": "by-total",
        "IndexType": "global",
        "HashAttributeName": "total",
        "HashAttributeType": "N",
        "ReadCapacityUnits": 3,
        "WriteCapacityUnits": 3,
    }
    asked(f"{admin}/create-table", "POST", {"TableDefinition": definition, "SecondaryIndexes": [index]})
    assert table in asked(admin)
    place = f"{admin}/tables/{table}"
    for number in range(3):
        asked(f"{place}/add-item", "PUT", {"id": f"o{number}", "total": number, "tags": ["x"]})
    asked(f"{place}/items/o1", "PUT", {"id": "o1", "total": 12})
    asked(f"{place}/items/o2", "DELETE")
    items = json.loads(asked(f"{place}/items"))["Items"]
    assert sorted((item["id"], item["total"]) for item in items) == [("o0", 0), ("o1", 12)]
    queried = urlencode(
        {
            "operationType": "query",
            "queryableSelection": "by-total",
            "filters": json.dumps({"total": {"type": "N", "operator": "=", "value": "12"}}),
        }
    )
    assert [item["id"] for item in json.loads(asked(f"{place}/items?{queried}"))["Items"]] == ["o1"]
    assert "o1" in asked(f"{place}/items/o1")
    assert "by-total" in asked(f"{place}/meta")
    asked(place, "DELETE")
    assert table not in asked(admin)
