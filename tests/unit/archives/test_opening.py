"""An archive by the name of its place."""

import sys
from pathlib import Path

import pytest

from tailrace.archives import DirectoryArchive
from tailrace.archives.opening import archive_at
from tailrace.errors import SettingsError, Unavailable


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


def test_a_home_is_read_as_a_shell_reads_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    archive = archive_at("~/history")
    assert isinstance(archive, DirectoryArchive)
    assert archive.path("a") == tmp_path / "history" / "a"


def test_the_home_of_nobody_is_refused() -> None:
    with pytest.raises(SettingsError, match="nobody who is known here"):
        archive_at("~nobody.at.all/history")
