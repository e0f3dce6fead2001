"""Write transfers between ten accounts: `python examples/transfers/send.py [COUNT] [PORT]`. Needs boto3."""

import random
import sys
import uuid
from decimal import Decimal
from typing import Any

import boto3


def main(count: int = 1_000, port: int = 8000) -> None:
    """Each transfer is one item with an id of its own."""
    database: Any = boto3.resource(
        "dynamodb",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )
    table = database.Table("transfers")
    for _ in range(count):
        source, target = random.sample(range(10), 2)
        transfer = {"id": str(uuid.uuid4()), "source": f"account-{source}", "target": f"account-{target}"}
        table.put_item(Item={**transfer, "amount": Decimal(random.randrange(1, 10_000)) / 100})


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
