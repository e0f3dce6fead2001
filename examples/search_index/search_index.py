"""A search index beside a table, kept in step: full text in SQLite.
`tailrace dev examples/search_index/search_index.py`.

The index keeps, for every article, the sequence number of the change that it shows, and takes no older one.
So a change that comes twice, or late after a crash, does no harm, and deletions leave a tombstone. A batch is
one transaction of SQLite: all of it, or it comes again.
"""

import re
import sqlite3
from collections.abc import Iterator
from typing import Annotated

from tailrace import App, Batch, Depends, Item

app = App("search")
articles = app.table("articles", pk="id")
SCHEMA = """
create table if not exists shown (id text primary key, sequence text not null, title text);
create virtual table if not exists words using fts5 (id unindexed, title, text);
"""


class Article(Item, table=articles):
    """An article."""

    id: str
    title: str = ""
    text: str = ""


class Index:
    """The index.

    Shape:   `shown` has the sequence number of each article's last change; without a title it is deleted.
    """

    def __init__(self, path: str) -> None:
        self._file = sqlite3.connect(path, check_same_thread=False)
        self._file.executescript(SCHEMA)

    def apply(self, batch: Batch[Article]) -> None:
        """Show these changes, all of them or none."""
        with self._file:
            for change in batch:
                self._apply(change.key, change.sequence_number, change.new)

    def _apply(self, key: str, sequence: str, article: Article | None) -> None:
        newer = self._file.execute(
            "insert into shown values (?, ?, ?) on conflict (id) do update set sequence = excluded.sequence, "
            "title = excluded.title where excluded.sequence > shown.sequence",
            (key, sequence, None if article is None else article.title),
        )
        if newer.rowcount:
            self._file.execute("delete from words where id = ?", (key,))
            if article is not None:
                self._file.execute("insert into words values (?, ?, ?)", (key, article.title, article.text))

    def search(self, words: str) -> list[str]:
        """The ids of the articles that have all of these words, the best first."""
        quoted = " ".join(f'"{word}"' for word in re.findall(r"\w+", words))
        rows = self._file.execute("select id from words where words match ? order by rank, id", (quoted,))
        return [key for (key,) in rows]

    def articles(self) -> dict[str, str]:
        """Every article's title."""
        return dict(self._file.execute("select id, title from shown where title is not null"))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def index() -> Iterator[Index]:
    """The index of this worker, closed when it ends."""
    made = Index("search.sqlite")
    yield made
    made.close()


@app.batch(Article, batch_size=100)
def keep_in_step(batch: Batch[Article], search_index: Annotated[Index, Depends(index)]) -> None:
    """Bring the index up to these changes."""
    search_index.apply(batch)
