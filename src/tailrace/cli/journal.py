"""`tailrace journal …`: look after what `app.archive` keeps.

Rules of this file: options and output; what is looked at is said by journal/. Registered in `main`. Needs no
data directory and no server: a journal is its files.
"""

import click

from tailrace.cli.group import CommandGroup
from tailrace.cli.journal_base import base
from tailrace.cli.journal_merge import merge
from tailrace.cli.journal_proof import prove, verify
from tailrace.cli.journal_status import status


@click.group(cls=CommandGroup)
def journal() -> None:
    """Look after the journals that `app.archive(TABLE, PLACE)` keeps.

    PLACE is what the app says: a directory or s3://BUCKET/PREFIX. A journal is its files; no worker is asked,
    and none is in the way.

    \b
    Example: tailrace journal status history/
             tailrace journal verify history/ --table orders --head head.json
             tailrace journal prove history/ --table orders '{"id": "o1"}' > proof.json
    Next:    tailrace journal status PLACE
    """


for command in (status, verify, prove, merge, base):
    journal.add_command(command)
