"""What hangs on a data stream or a consumer that is named by its ARN: tags and resource policies.

Rules of this file: told as it was put, never enforced; it goes with what it hangs on. Source: AWS API
Reference, TagResource, PutResourcePolicy. Texts that no source shows are marked [U].
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from tailrace.engine.catalog import policy_key
from tailrace.engine.documents import CATALOG, PolicyDocument, decode
from tailrace.engine.kinesis.catalog import DataParts, DataStreamState
from tailrace.engine.kinesis.consumers import DataConsumers, StreamConsumer
from tailrace.engine.kinesis.lifecycle import NOT_FOUND, DataStreams
from tailrace.engine.kinesis.tagging import check_data_tags
from tailrace.engine.resources import check_policy
from tailrace.errors import ApiError

CONSUMER: Final = "/consumer/"


class DataResources(Struct, frozen=True):
    """Tags and policies of the streams and consumers of one account."""

    _parts: DataParts
    _streams: DataStreams
    _consumers: DataConsumers

    def _named(self, arn: str) -> DataStreamState | StreamConsumer:
        """A stream or a consumer. Raises: ApiError."""
        if CONSUMER in arn:
            return self._consumers.named(None, None, arn)
        return self._streams.usable(None, arn)

    # ---- tags ----------------------------------------------------------------------------------------------

    def tags(self, arn: str) -> Mapping[str, str]:
        """ListTagsForResource. Raises: ApiError."""
        return self._named(arn).document.tags

    def tag(self, arn: str, tags: Mapping[str, str]) -> None:
        """TagResource: a tag that is there is replaced. Raises: ApiError."""
        self.put_tags(self._named(arn), tags)

    def untag(self, arn: str, names: Sequence[str]) -> None:
        """UntagResource; a tag that is not there is no error. Raises: ApiError."""
        self.remove_tags(self._named(arn), names)

    def put_tags(self, resource: DataStreamState | StreamConsumer, tags: Mapping[str, str]) -> None:
        """The same for what was looked up. Raises: ApiError."""
        self._keep(resource, {**resource.document.tags, **tags})

    def remove_tags(self, resource: DataStreamState | StreamConsumer, names: Sequence[str]) -> None:
        """The same for what was looked up."""
        self._keep(resource, {name: tag for name, tag in resource.document.tags.items() if name not in names})

    def _keep(self, resource: DataStreamState | StreamConsumer, tags: Mapping[str, str]) -> None:
        if isinstance(resource, StreamConsumer):
            self._consumers.tag(resource, tags)
            return
        check_data_tags(resource.name, tags)
        self._streams.save(resource, tags=dict(tags))

    # ---- policies ------------------------------------------------------------------------------------------

    def put_policy(self, arn: str, policy: str) -> None:
        """PutResourcePolicy. Raises: ApiError."""
        self._named(arn)
        check_policy(policy)
        document = PolicyDocument(policy, "")
        self._parts.committer.put_row(CATALOG, policy_key(arn), msgspec.json.encode(document))

    def policy(self, arn: str) -> str:
        """GetResourcePolicy. Raises: ApiError."""
        self._named(arn)
        key = policy_key(arn)
        data = self._parts.committer.get(CATALOG, key)
        if data is None:
            raise ApiError(NOT_FOUND, f"No resource policy is attached to {arn}.")
        return decode(key, data, PolicyDocument).policy

    def delete_policy(self, arn: str) -> None:
        """DeleteResourcePolicy. Raises: ApiError."""
        self.policy(arn)
        self._parts.committer.put_row(CATALOG, policy_key(arn), None)
