"""The catalog's documents: what earlier versions wrote is read, and written anew."""

import msgspec
import pytest

from tailrace.engine.documents import IndexDocument, SizeDocument, decode
from tailrace.errors import StoreError
from tailrace.tables.indexes import IndexDefinition, KeyAttribute

DEFINITION = IndexDefinition("byOther", "GLOBAL", (KeyAttribute("other", "S"),))


def test_an_index_of_version_1_has_no_warm_throughput_and_is_written_as_version_2() -> None:
    written = msgspec.json.decode(msgspec.json.encode(IndexDocument(DEFINITION, 17, 16)))
    del written["definition"]["warm"]
    document = decode(b"index/17", msgspec.json.encode({**written, "v": 1}), IndexDocument)
    assert document == IndexDocument(DEFINITION, 17, 16)
    assert document.v == 2


@pytest.mark.parametrize(
    ("document", "version"), [(IndexDocument, 3), (SizeDocument, 2), (SizeDocument, None)]
)
def test_a_document_of_another_version_is_refused(
    document: type[msgspec.Struct], version: int | None
) -> None:
    with pytest.raises(StoreError, match="this Tailrace reads up to"):
        decode(b"x", msgspec.json.encode({"v": version}), document)
