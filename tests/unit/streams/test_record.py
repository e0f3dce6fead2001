"""The change record: what happened, and its images."""

import pytest

from tailrace.streams.record import ChangeRecord, image
from tests.unit.streams.records import EXPIRY, INSERT, LARGE, MODIFY, REMOVE


@pytest.mark.parametrize(
    ("record", "name"), [(INSERT, "INSERT"), (MODIFY, "MODIFY"), (REMOVE, "REMOVE"), (EXPIRY, "REMOVE")]
)
def test_the_images_say_what_happened(record: ChangeRecord, name: str) -> None:
    assert record.event_name == name


def test_an_absent_image_stays_absent() -> None:
    assert image(INSERT.old) is None
    assert image(INSERT.new) == LARGE


def test_a_record_tells_its_sequence_number_in_the_wires_form() -> None:
    assert INSERT.sequence_number == INSERT.sequence
    assert INSERT.sequence_number.wire.endswith(str(INSERT.sequence))
