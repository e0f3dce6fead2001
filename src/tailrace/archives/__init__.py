"""Archives: named blobs that are written once, few replaced under a condition (`ports.ArchiveStore`).

    DirectoryArchive   files of a directory, for any number of processes at once
    MemoryArchive      a dictionary, for tests

Rules of this file: names only.
"""

from tailrace.archives.directory import DirectoryArchive
from tailrace.archives.memory import MemoryArchive

__all__ = ["DirectoryArchive", "MemoryArchive"]
