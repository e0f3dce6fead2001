"""Reading all of a store's file and saying what of it is not what was written: `tailrace check`.

Theory of operation: each row and each record is read once, in the order of the file, and held against its
checksum; how many there are of each table and shard, and what their checksums add up to, against what the
last commit noted; SQLite checks its own pages and indexes. What only the checksums see: a flipped bit in a
value. What only the sums see: a row that vanished, or that is of an earlier commit.
Rules of this file: it writes nothing, whatever the file looks like; damage is a value, never an exception.
The caller holds the directory's lock. Called by `cli.check`.
"""

import sqlite3
import struct
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct, field

from tailrace.errors import StoreError
from tailrace.stores.checksums import (
    NOTHING,
    READ,
    RECORDS,
    ROWS,
    UNCOUNTED,
    Counted,
    record_sum,
    row_sum,
)
from tailrace.stores.layout import FORMAT, NEW, found_format

Kind: TypeAlias = Literal["row", "record", "rows", "records", "file"]
Progress: TypeAlias = Callable[[int, int], None]
CATALOG: Final = b"\0\0\0\0"
"""What the keys of the catalog begin with: its rows tell the names of all others."""
MOST: Final = 10_000
"""How many damages are told by name; the others are counted."""
TELL_EVERY: Final = 10_000
SQLITE_SAYS: Final = 100
WAL_HEADER: Final = struct.Struct(">IIIIIIII")
FRAME_HEADER: Final = struct.Struct(">II8s8s")
SHM_FRAMES: Final = 16
"""Where in the index of the log SQLite keeps how many of its frames are whole."""


class _Text(bytes):
    """What is a text to SQLite. We write none, so a bit that says what a value is has flipped."""


class Damage(Struct, frozen=True):
    """One thing that is not what was written.

    Shape:   of a `row`: table `number` and `key`; of a `record`: shard `number` and `sequence`; `rows` of a
             table or `records` of a shard whose count or sum differs: `missing` of them, less than none when
             there are too many; the `file`: nothing of these.
    """

    kind: Kind
    problem: str
    number: int = 0
    key: bytes = b""
    sequence: int = 0
    missing: int = 0


class Report(Struct):
    """What was read and what of it is damaged. Shape: `catalog` are the catalog's rows, whole ones only, by
    their keys.
    """

    format: int = 0
    rows: int = 0
    records: int = 0
    unchecked: int = 0
    """Rows and records without a checksum: written before there were any, or with --checksums off."""
    is_counted: bool = True
    """Whether what vanished would be seen; not after --checksums off, until a node has run with them."""
    damages: list[Damage] = field(default_factory=list)
    more: int = 0
    """How many more there are than `damages` tells."""
    catalog: dict[bytes, bytes] = field(default_factory=dict)

    def add(self, damage: Damage) -> None:
        """Keep one of the first damages; of the others only their number."""
        if len(self.damages) < MOST:
            self.damages.append(damage)
        else:
            self.more += 1


def check_file(path: Path, progress: Progress) -> Report:
    """Read all of a store's file. `progress` hears how many rows and records are read, and about how many
    there are.

    Raises:  StoreError for a file that is no store, or of a later format; OSError.
    """
    report = Report()
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        ) as file:
            report.format = found_format(file, path) or 0
            if not report.format:
                raise StoreError(f"{path} is empty: there is nothing to check")
            file.execute("BEGIN")
            file.execute("SELECT count(*) FROM meta").fetchone()
            _check_log_file(path, report)
            _check_layout(file, report)
            file.text_factory = _Text
            _Scan(file, report, progress).run()
            _check_pages(file, report)
    except sqlite3.Error as error:
        report.add(Damage("file", f"SQLite cannot read it: {error}"))
    return report


class _Scan:
    """All rows and all records, and what their checksums add up to."""

    def __init__(self, file: sqlite3.Connection, report: Report, progress: Progress) -> None:
        self._file = file
        self._report = report
        self._progress = progress
        self._has_sums = report.format >= FORMAT
        self._seen: dict[tuple[int, int], Counted] = {}
        self._written: dict[tuple[int, int], Counted] = {}
        self._total = 0

    def run(self) -> None:
        """Read everything, then compare."""
        if self._has_sums:
            with _telling(self._report, "the numbers of rows"):
                self._written = {
                    (kind, number): (count, total) for kind, number, count, total in self._file.execute(READ)
                }
                self._report.is_counted = not self._file.execute(
                    "SELECT count(*) FROM meta WHERE name=?", (UNCOUNTED,)
                ).fetchone()[0]
        self._total = sum(count for count, _ in self._written.values())
        checksum = "sum" if self._has_sums else "NULL"
        with _telling(self._report, "rows"):
            for row in self._file.execute(f"SELECT key, value, {checksum} FROM items NOT INDEXED"):
                self._report.rows += 1
                self._row(*row)
                self._tell()
        with _telling(self._report, "changes"):
            for row in self._file.execute(f"SELECT key, header, old, new, {checksum} FROM log NOT INDEXED"):
                self._report.records += 1
                self._record(*row)
                self._tell()
        if self._has_sums and self._report.is_counted:
            self._compare()

    def _tell(self) -> None:
        done = self._report.rows + self._report.records
        if done % TELL_EVERY == 0:
            self._progress(done, self._total)

    def _row(self, key: Any, value: Any, checksum: Any) -> None:
        if type(key) is not bytes or len(key) < 4:
            self._report.add(Damage("file", "a row's key is none"))
            return
        number, key_bytes = int.from_bytes(key[:4]), key[4:]
        self._count(ROWS, number, checksum)
        if type(value) is not bytes:
            self._report.add(Damage("row", "its value is none", number, key_bytes))
        elif checksum is not None and checksum != row_sum(number, key_bytes, value):
            self._report.add(Damage("row", "its checksum does not match", number, key_bytes))
        elif key.startswith(CATALOG):
            self._report.catalog[key_bytes] = value

    def _record(self, key: Any, header: Any, old: Any, new: Any, checksum: Any) -> None:
        if type(key) is not bytes or len(key) != 16:
            self._report.add(Damage("file", "the key of a change is none"))
            return
        number, sequence = int.from_bytes(key[:8]), int.from_bytes(key[8:])
        self._count(RECORDS, number, checksum)
        kinds = (type(header) is bytes, *(image is None or type(image) is bytes for image in (old, new)))
        if not all(kinds):
            problem = "its header or an image is none"
        elif checksum is not None and checksum != record_sum(key, header, old, new):
            problem = "its checksum does not match"
        else:
            return
        self._report.add(Damage("record", problem, number, sequence=sequence))

    def _count(self, kind: int, number: int, checksum: Any) -> None:
        if checksum is None:
            self._report.unchecked += 1
            return
        count, total = self._seen.get((kind, number), NOTHING)
        self._seen[kind, number] = (count + 1, total + (checksum if isinstance(checksum, int) else 0))

    def _compare(self) -> None:
        for kind, number in sorted(self._seen.keys() | self._written.keys()):
            written, seen = (
                self._written.get((kind, number), NOTHING),
                self._seen.get((kind, number), NOTHING),
            )
            if written == seen:
                continue
            missing = written[0] - seen[0]
            if missing > 0:
                problem = f"{missing} of {written[0]} missing"
            elif missing < 0:
                problem = f"{-missing} more than the {written[0]} that were written"
            else:
                problem = f"all {written[0]} are there, but what they add up to is not what was written"
            self._report.add(Damage("rows" if kind == ROWS else "records", problem, number, missing=missing))


class _telling:  # noqa: N801  # a context manager that reads as a phrase
    """What SQLite cannot read inside is damage of the file, and the check goes on behind it."""

    def __init__(self, report: Report, part: str) -> None:
        self._report = report
        self._part = part

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, sqlite3.Error):
            return False
        self._report.add(Damage("file", f"SQLite cannot read all {self._part}: {error}"))
        return True


def _check_layout(file: sqlite3.Connection, report: Report) -> None:
    """The tables are declared as this version declares them, where this version made them."""
    if report.format < FORMAT:
        return
    declared = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
    with closing(sqlite3.connect(":memory:")) as new:
        new.executescript(NEW)
        expected = new.execute(declared).fetchall()
    with _telling(report, "declarations of tables"):
        if file.execute(declared).fetchall() != expected:
            report.add(Damage("file", "the tables are not declared as they were"))


def _check_pages(file: sqlite3.Connection, report: Report) -> None:
    """SQLite's own check: the trees, the list of free pages, and each index against its table."""
    file.text_factory = lambda text: text.decode(errors="replace")
    with _telling(report, "pages"):
        for (text,) in file.execute(f"PRAGMA integrity_check({SQLITE_SAYS})"):
            for line in str(text).splitlines():
                if line not in ("ok", "*** in database main ***"):
                    report.add(Damage("file", f"SQLite: {line}"))


def _check_log_file(path: Path, report: Report) -> None:
    """Whether commits stand in the write-ahead log behind a frame that is not whole: SQLite ends there
    without a word.
    """
    log = Path(f"{path}-wal")
    with suppress(FileNotFoundError):
        data = log.read_bytes()
        if len(data) <= WAL_HEADER.size:
            return
        whole = _whole_frames(path)
        lost = lost_commits(data, whole)
        if lost is None:
            report.add(Damage("file", f"the head of {log.name} is damaged: SQLite reads none of its commits"))
        elif lost:
            report.add(
                Damage(
                    "file",
                    f"{log.name} is damaged behind frame {whole}: the last {lost} commits cannot be read "
                    "(after a power loss with --sync normal that may be)",
                )
            )


def _whole_frames(path: Path) -> int:
    """How many frames of the log SQLite took for whole when it was opened."""
    with Path(f"{path}-shm").open("rb") as index:
        index.seek(SHM_FRAMES)
        (frames,) = struct.unpack("=I", index.read(4))
    return int(frames)


def lost_commits(log: bytes, whole: int) -> int | None:
    """How many commits of this log stand behind its `whole` frames; None when its head is damaged, so that
    SQLite reads nothing of it.

    Shape:   frames of an earlier log in the same file have other salts, and are none. Source: SQLite's file
             format, "The Write-Ahead Log".
    """
    magic, _, page_bytes, _, *_ = WAL_HEADER.unpack_from(log)
    if magic & ~1 != 0x377F0682 or log[24:32] != _log_checksum(log[:24], is_big=bool(magic & 1)):
        return None
    salts, step = log[16:24], FRAME_HEADER.size + page_bytes
    lost = 0
    for start in range(WAL_HEADER.size + whole * step, len(log) - step + 1, step):
        _, commit_pages, frame_salts, _ = FRAME_HEADER.unpack_from(log, start)
        lost += frame_salts == salts and commit_pages != 0
    return lost


def _log_checksum(data: bytes, *, is_big: bool) -> bytes:
    words = struct.unpack(f"{'>' if is_big else '<'}{len(data) // 4}I", data)
    first = second = 0
    for one, two in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & 0xFFFF_FFFF
        second = (second + two + first) & 0xFFFF_FFFF
    return struct.pack(">II", first, second)


def by_kind(damages: Iterable[Damage]) -> dict[Kind, list[Damage]]:
    """The damages of each kind, in the order in which they were met."""
    kinds: dict[Kind, list[Damage]] = {}
    for damage in damages:
        kinds.setdefault(damage.kind, []).append(damage)
    return kinds
