"""The client of a crash test, a process of its own: it notes every write before it is sent and
after it is answered.

Rules of this file: imports nothing of tailrace. One line a fact, `sent|acked counter value`, written with
O_APPEND, so that what is noted survives whatever happens to any process. An unanswered write is sent again,
unchanged, until it is acknowledged: counters only ever move from n to n + 1.
"""

import http.client
import json
import os
import sys
import threading
import time

from tests.patience import PATIENCE_S

COUNTERS = 24
CONNECTIONS = 6
HEADERS = {
    "Content-Type": "application/x-amz-json-1.0",
    "X-Amz-Target": "DynamoDB_20120810.UpdateItem",
    "X-Amz-Date": "20260101T000000Z",
    "Authorization": "AWS4-HMAC-SHA256 Credential=crash/20260101/us-east-1/dynamodb/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=0",
}


def body(counter: str, value: int) -> bytes:
    """An UpdateItem that sets the counter to a value; repeating it changes nothing and makes no record."""
    return json.dumps(
        {
            "TableName": "counters",
            "Key": {"id": {"S": counter}},
            "UpdateExpression": "SET n = :n",
            "ExpressionAttributeValues": {":n": {"N": str(value)}},
        }
    ).encode()


class Connection:
    """One keep-alive connection that finds the server again, at whatever port it listens after a restart."""

    def __init__(self, port_file: str) -> None:
        self._port_file = port_file
        self._client: http.client.HTTPConnection | None = None

    def write(self, counter: str, value: int) -> bool:
        """Send one write; whether it was acknowledged."""
        try:
            if self._client is None:
                with open(self._port_file) as file:
                    self._client = http.client.HTTPConnection(
                        "127.0.0.1", int(file.read()), timeout=PATIENCE_S
                    )
            self._client.request("POST", "/", body(counter, value), HEADERS)
            answer = self._client.getresponse()
            answer.read()
            return answer.status == 200
        except (OSError, http.client.HTTPException, ValueError):
            self._client = None
            time.sleep(0.02)
            return False


def work(port_file: str, notes: int, stop_file: str, counters: list[str], pause: float) -> None:
    """Advance this connection's counters in turn until told to stop."""
    connection = Connection(port_file)
    values = dict.fromkeys(counters, 0)
    while not os.path.exists(stop_file):
        for counter in counters:
            value = values[counter] + 1
            os.write(notes, f"sent {counter} {value}\n".encode())
            while not connection.write(counter, value):
                if os.path.exists(stop_file):
                    return
            os.write(notes, f"acked {counter} {value}\n".encode())
            values[counter] = value
            time.sleep(pause)


def write_all(
    port_file: str, notes_file: str, stop_file: str, counters: list[list[str]], pause: float
) -> None:
    """Run a connection for each of these lists of counters until the stop file appears."""
    notes = os.open(notes_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    threads = [
        threading.Thread(target=work, args=(port_file, notes, stop_file, names, pause)) for names in counters
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.close(notes)


def main(port_file: str, notes_file: str, stop_file: str, pause: str) -> None:
    """Run all connections until the stop file appears."""
    names = [f"counter-{number:02d}" for number in range(COUNTERS)]
    write_all(
        port_file,
        notes_file,
        stop_file,
        [names[start::CONNECTIONS] for start in range(CONNECTIONS)],
        float(pause),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
