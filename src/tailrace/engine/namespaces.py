"""Regions and accounts: the namespaces that the tables of one store are in.

Rules of this file: one namespace of a data directory is its default, chosen when its first table was made and
kept; rows name tables of it by name alone, as they did before there were others, and tables of any other by
ARN. A directory of before namespaces has that one only, whatever region and account a request names. Called
by `engine.engine` and `engine.catalog`.
"""

from typing import Final

from msgspec.structs import replace

from tailrace.engine.committer import Committer
from tailrace.engine.documents import CATALOG, COUNTERS, NamespacesDocument, decode
from tailrace.engine.settings import EngineSettings
from tailrace.errors import SettingsError
from tailrace.streams.arns import ACCOUNT, REGION

NOT_HERE: Final = "Invalid TableArn: Invalid ResourceArn provided as input "
"""What AWS says of an ARN of another region. Source: complete.md §4.5, for tags."""
NAMESPACES: Final = b"namespaces"


def kept_settings(committer: Committer, settings: EngineSettings) -> EngineSettings:
    """The settings with the namespaces that a data directory was begun with; a new one takes those that are
    given.

    Raises:  SettingsError when a directory that keeps regions and accounts apart is to have one namespace;
             StoreError.
    """
    data = committer.get(CATALOG, NAMESPACES)
    if data is None:
        if committer.get(CATALOG, COUNTERS) is None:
            return settings
        return replace(settings, region=REGION, account=ACCOUNT, one_namespace=True)
    document = decode(NAMESPACES, data, NamespacesDocument)
    if settings.one_namespace and not document.is_one:
        raise SettingsError(
            "--one-namespace is for new data directories: this one keeps the tables of regions and "
            "accounts apart",
            hint="start without --one-namespace, or with another --data directory",
        )
    return replace(settings, region=document.region, account=document.account, one_namespace=document.is_one)


def document_of(settings: EngineSettings) -> NamespacesDocument:
    """What is kept of them."""
    return NamespacesDocument(settings.region, settings.account, settings.one_namespace)
