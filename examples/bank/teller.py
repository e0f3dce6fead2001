"""A few customers: `python examples/bank/teller.py [COUNT] [PORT]`. Needs boto3."""

import random
import sys
import uuid

import boto3

from bank import Deposit, Open, Requested, TooLittle, accounts, app, payments, transfer


def main(count: int = 20, port: int = 8000) -> None:
    """Each command has an id of its own: sent again, it changes nothing."""
    app.attach(
        boto3.client(
            "dynamodb",
            endpoint_url=f"http://127.0.0.1:{port}",
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
        )
    )
    names = ("ann", "bob", "eve")
    for name in names:
        accounts.handle(name, Open(name), command_id="open", meta={"actor": "teller"})
        accounts.handle(name, Deposit(10_000), command_id="first", meta={"actor": "teller"})
    for _ in range(count):
        source, target = random.sample(names, 2)
        cents, name = random.randrange(1, 5_000), str(uuid.uuid4())
        try:
            transfer(source, target, cents, name)
        except TooLittle as reason:
            print(f"{source} -> {target}: {reason}")
        payments.handle(name, Requested(target, source, cents), command_id="request")
    for name in names:
        loaded = accounts.load(name)
        print(f"{name}: {loaded.state.cents / 100:.2f} after {loaded.version} events")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
