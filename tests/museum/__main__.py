"""`python -m tests.museum`: write docs/museum.md anew."""

from tests.museum.catalogue import PAGE, page

PAGE.write_text(page())
