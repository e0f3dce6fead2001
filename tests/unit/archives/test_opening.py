"""An archive by the name of its place."""

import sys

import pytest

from tailrace.archives import DirectoryArchive
from tailrace.archives.opening import archive_at
from tailrace.errors import Unavailable


@pytest.mark.parametrize("lacking", ["aiohttp", "botocore"])
def test_a_bucket_without_the_extra_is_refused_before_it_is_called(
    lacking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, lacking, None)
    with pytest.raises(Unavailable, match="s3://bucket/prefix needs the extra `aws`") as refused:
        archive_at("s3://bucket/prefix")
    assert refused.value.hint == "pip install '.[aws]' in the checkout, and start again"


def test_a_directory_needs_no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    assert isinstance(archive_at("history/"), DirectoryArchive)
