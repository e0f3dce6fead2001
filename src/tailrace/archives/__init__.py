"""Archives: named blobs that are written once, few replaced under a condition (`ports.ArchiveStore`).

    DirectoryArchive   files of a directory, for any number of processes at once
    S3Archive          objects of a bucket, under S3's own conditions
    MemoryArchive      a dictionary, for tests

Rules of this file: names only.
"""

from tailrace.archives.directory import DirectoryArchive
from tailrace.archives.memory import MemoryArchive
from tailrace.archives.s3 import S3Archive

__all__ = ["DirectoryArchive", "MemoryArchive", "S3Archive"]
