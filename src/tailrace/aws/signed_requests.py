"""Signed headers for HTTP requests to services that are called by their own API: OpenSearch domains.

Stands alone because botocore has no model of such an API, so there is no operation that client.py could call;
credentials and signature are the same. Rules of this file: a signature tells the machine's own time, as in
client.py. Used by sinks/search/client.py.
"""

import asyncio
import time
from collections.abc import Callable, Mapping

from tailrace.aws.errors import AwsError, ErrorMeaning, Meaning
from tailrace.aws.places import KNOWN, Access, Keyring
from tailrace.aws.signing import Credentials, Scope, payload_hash_of, signed_headers


class RequestSigner:
    """Signs for one service of one host. Units: `now` seconds since 1970."""

    def __init__(
        self, access: Access, service: str, host: str, *, now: Callable[[], float] = time.time
    ) -> None:
        self._access = access
        self._host = host
        self._scope = Scope(access.region or region_of(host, service), service)
        self._now = now
        self._keyring: Keyring | None = None

    async def headers(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        """Headers to send with a request without a query. Raises: AwsError where there are no credentials."""
        if self._keyring is None:
            clock = asyncio.get_running_loop().time
            self._keyring = Keyring(lambda: KNOWN.credentials(self._access.profile), clock)
        held = self._keyring.get()
        credentials = held if isinstance(held, Credentials) else await held
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._now()))
        sent = {**headers, "host": self._host}
        return signed_headers(credentials, self._scope, stamp, method, path, (), sent, payload_hash_of(body))


def region_of(host: str, service: str) -> str:
    """The region in a host name of AWS. Raises: AwsError for another name.

    >>> region_of("search-shop-abc.eu-west-1.es.amazonaws.com", "es")
    'eu-west-1'
    """
    labels = host.partition(":")[0].split(".")
    if service in labels[1:]:
        return labels[labels.index(service, 1) - 1]
    words = f"{host} does not say which region it is in: access=AwsAccess(region=…)"
    raise AwsError(service, ErrorMeaning(Meaning.NOWHERE), "", words)
