"""moto's server in this process, on loopback and a free port, for tests of what is written to AWS."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

from tailrace.sinks.aws import AwsAccess


@contextmanager
def moto() -> Iterator[AwsAccess]:
    """Access to an AWS of its own; what is left of the last one is reset."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield AwsAccess(region="us-east-1", endpoint_url=f"http://{host}:{port}")
    finally:
        client.cache_clear()
        server.stop()


@lru_cache
def client(service: str, access: AwsAccess) -> Any:
    """A client of boto3's, for what tests make and look at beside what is tested."""
    return boto3.client(service, endpoint_url=access.endpoint_url, region_name=access.region)
