"""What hangs on a table and changes nothing of it: tags, resource policies, the description of continuous
backups.

Rules of this file: kept with the catalog, told as it was put, never enforced. Called by the files of
`api.dynamodb`.
Source: semantics §6.3; AWS API Reference. Texts that no source shows are marked [U].
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from unicodedata import category

import msgspec

from tailrace.engine.catalog import Catalog, Namespace, TableState, policy_key
from tailrace.engine.committer import Committer
from tailrace.engine.documents import CATALOG, BackupsDocument, PolicyDocument, decode
from tailrace.engine.lifecycle import Lifecycle
from tailrace.errors import CORAL, ApiError, validation_error
from tailrace.ports import Clock
from tailrace.streams.arns import parse_table_arn
from tailrace.tables.limits import POLICY_BYTES, TAGS
from tailrace.tables.schema import INVALID

STREAM_PART: Final = "/stream/"
NO_POLICY: Final = "NO_POLICY"
NOT_FOUND: Final = "ResourceNotFoundException"
TAG_KINDS: Final = "LNZ"
"""Letters, digits and spaces of every script."""
TAG_SIGNS: Final = "+-=._:/@"
LATEST_RESTORE_MS: Final = 300_000
"""AWS can restore up to about five minutes before the present."""
DAY_MS: Final = 86_400_000


class Resources:
    """Tags, policies and backup settings of the tables of one namespace."""

    def __init__(
        self,
        namespace: Namespace,
        committer: Committer,
        catalog: Catalog,
        lifecycle: Lifecycle,
        clock: Clock,
    ) -> None:
        self._namespace = namespace
        self._committer = committer
        self._catalog = catalog
        self._lifecycle = lifecycle
        self._clock = clock

    # ---- tags ----------------------------------------------------------------------------------------------

    def tag(self, arn: str, tags: Mapping[str, str]) -> None:
        """TagResource. Raises: ApiError."""
        table = self._table(arn)
        merged = {**table.document.tags, **tags}
        check_tags(merged)
        self._catalog.save_table(table, msgspec.structs.replace(table.document, tags=merged))

    def untag(self, arn: str, names: Sequence[str]) -> None:
        """UntagResource; a tag that is not there is no error. Raises: ApiError."""
        table = self._table(arn)
        tags = {name: value for name, value in table.document.tags.items() if name not in names}
        self._catalog.save_table(table, msgspec.structs.replace(table.document, tags=tags))

    def tags(self, arn: str) -> Mapping[str, str]:
        """ListTagsOfResource: what is elsewhere, or not there, is denied to the caller. Raises: ApiError."""
        try:
            return self._table(arn).document.tags
        except ApiError as error:
            if error.code != NOT_FOUND:
                raise
            raise ApiError(
                "AccessDeniedException",
                f"User is not authorized to perform: dynamodb:ListTagsOfResource on resource: {arn}",
                prefix=CORAL,
            ) from None  # [U]: AWS names the caller

    def _table(self, arn: str, missing: str = "") -> TableState:
        parts = parse_table_arn(arn)
        if parts is None:
            raise validation_error(f"Invalid TableArn: Invalid ResourceArn provided as input {arn}")
        name = parts.table
        if self._namespace.table_arn(name) == arn:
            table = self._lifecycle.settled(name)
            if table is not None:
                return table
        text = "Requested resource not found" + (f": {missing}" if missing else "")
        raise ApiError(NOT_FOUND, text)

    # ---- policies ------------------------------------------------------------------------------------------

    def put_policy(self, arn: str, policy: str, expected: str | None = None) -> str:
        """PutResourcePolicy. Returns: the revision. Raises: ApiError."""
        self._check_resource(arn)
        check_policy(policy)
        present = self._policy(arn)
        self._check_revision(arn, present, expected, may_be_absent=True)
        if present is not None and present.policy == policy:
            return present.revision
        # A time that is handed out once: it grows, also over a policy that went.
        revision = self._catalog.take_label_ms(self._clock.now().wall_ms)
        if present is not None:
            revision = max(revision, int(present.revision) + 1)
        document = PolicyDocument(policy, str(revision))
        self._committer.put_row(CATALOG, policy_key(arn), msgspec.json.encode(document))
        return document.revision

    def policy(self, arn: str) -> PolicyDocument:
        """GetResourcePolicy. Raises: ApiError."""
        self._check_resource(arn)
        document = self._policy(arn)
        if document is None:
            raise _no_policy(arn)
        return document

    def delete_policy(self, arn: str, expected: str | None = None) -> str | None:
        """DeleteResourcePolicy. Returns: the revision that went, None without one. Raises: ApiError."""
        self._check_resource(arn)
        present = self._policy(arn)
        self._check_revision(arn, present, expected, may_be_absent=False)
        if present is None:
            return None
        self._committer.put_row(CATALOG, policy_key(arn), None)
        return present.revision

    def _policy(self, arn: str) -> PolicyDocument | None:
        key = policy_key(arn)
        data = self._committer.get(CATALOG, key)
        return None if data is None else decode(key, data, PolicyDocument)

    def _check_revision(
        self, arn: str, present: PolicyDocument | None, expected: str | None, *, may_be_absent: bool
    ) -> None:
        if expected is None:
            return
        if present is None:
            if expected == NO_POLICY and may_be_absent:
                return
            raise _no_policy(arn)  # [U]
        if present.revision == expected:
            return
        table = arn.partition(":table/")[2].partition("/")[0]
        if expected == NO_POLICY:
            raise _no_policy(
                f"Requested policy update expecting none to be present for table {table}, "
                f"but a policy exists with revision id {present.revision}."
            )
        raise _no_policy(
            f"Requested update for policy with revision id {expected}, "
            f"but the policy associated to target table {table} has revision id {present.revision}."
        )

    def _check_resource(self, arn: str) -> None:
        """A table or a stream of one. Raises: ApiError."""
        if STREAM_PART not in arn:
            self._table(arn, f"Table: {arn.rpartition('/')[2]} not found")
        elif (stream := self._catalog.streams.get(arn)) is None or stream.namespace is not self._namespace:
            raise ApiError(NOT_FOUND, f"Requested resource not found: ResourceArn: {arn} not found")

    # ---- continuous backups --------------------------------------------------------------------------------

    def backups(self, name: str) -> dict[str, Any]:
        """DescribeContinuousBackups. Returns: AWS's ContinuousBackupsDescription. Raises: ApiError."""
        backups = self._backed(name).document.backups
        recovery: dict[str, Any] = {"PointInTimeRecoveryStatus": "DISABLED"}
        if backups is not None:
            wall_ms = self._clock.now().wall_ms
            latest_ms = max(backups.since_ms, wall_ms - LATEST_RESTORE_MS)
            recovery = {
                "PointInTimeRecoveryStatus": "ENABLED",
                "RecoveryPeriodInDays": backups.days,
                "EarliestRestorableDateTime": max(backups.since_ms, wall_ms - backups.days * DAY_MS) / 1_000,
                "LatestRestorableDateTime": latest_ms / 1_000,
            }
        return {"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": recovery}

    def update_backups(self, name: str, days: int | None) -> None:
        """UpdateContinuousBackups; None switches point-in-time recovery off. Raises: ApiError."""
        table = self._backed(name)
        present = table.document.backups
        since_ms = self._clock.now().wall_ms if present is None else present.since_ms
        backups = None if days is None else BackupsDocument(days, since_ms)
        self._catalog.save_table(table, msgspec.structs.replace(table.document, backups=backups))

    def _backed(self, name: str) -> TableState:
        try:
            return self._lifecycle.named(name)
        except ApiError as error:
            raise ApiError("TableNotFoundException", f"Table not found: {name}") from error


def _no_policy(reason: str) -> ApiError:
    return ApiError(
        "PolicyNotFoundException", f"Resource-based policy not found for the provided ResourceArn: {reason}"
    )


def check_tags(tags: Mapping[str, str]) -> None:
    """Refuse too many tags, AWS's own, and characters that no tag has. Raises: ApiError. Source: semantics
    §6.3.
    """
    if len(tags) > TAGS:
        raise validation_error("Number of Tags exceed the current limit for the provided ResourceArn")
    for name, value in tags.items():
        for member, text in (("key", name), ("value", value)):
            if not all(category(letter)[0] in TAG_KINDS or letter in TAG_SIGNS for letter in text):
                raise validation_error(f"{INVALID}Tag {member} contains an invalid character: {text}")  # [U]
        if name.lower().startswith("aws:"):
            raise validation_error(f"{INVALID}Tag key prefix aws: is reserved: {name}")  # [U]


def check_policy(policy: str) -> None:
    """Refuse what is no policy. Raises: ApiError. Limit: AWS Developer Guide, "Resource-based policies"."""
    if len(policy.encode()) > POLICY_BYTES:
        raise validation_error(f"Policy size exceeds the limit of {POLICY_BYTES} bytes")  # [U]
    try:
        is_object = isinstance(msgspec.json.decode(policy), dict)
    except msgspec.DecodeError:
        is_object = False
    if not is_object:
        raise validation_error("Invalid policy document: Policy must be a JSON object")  # [U]
