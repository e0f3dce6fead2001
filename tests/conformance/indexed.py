"""Tables with indexes, for the tests of indexes.

Rules of this file: shapes only. The table `songs` has the key artist (S), song (S), the local index `byYear`
(year, N) and global indexes of every projection.
"""

from typing import Any

from tests.conformance.client import Conformance

TYPES = {"artist": "S", "song": "S", "year": "N", "genre": "S", "plays": "N"}


def element(name: str, kind: str) -> dict[str, str]:
    return {"AttributeName": name, "KeyType": kind}


def attributes(*names: str) -> list[dict[str, str]]:
    return [{"AttributeName": name, "AttributeType": TYPES.get(name, "S")} for name in names]


def index(
    name: str, *hashes: str, ranges: tuple[str, ...] = (), projection: str = "ALL", **more: Any
) -> dict[str, Any]:
    """One index as CreateTable takes it; `include=[…]` are its NonKeyAttributes."""
    include = more.pop("include", None)
    told: dict[str, Any] = {"ProjectionType": projection}
    if include is not None:
        told["NonKeyAttributes"] = include
    return {
        "IndexName": name,
        "KeySchema": [
            *(element(name, "HASH") for name in hashes),
            *(element(name, "RANGE") for name in ranges),
        ],
        "Projection": told,
        **more,
    }


BY_YEAR = index("byYear", "artist", ranges=("year",), projection="KEYS_ONLY")
BY_GENRE = index("byGenre", "genre", ranges=("plays",))
BY_PLAYS = index("byPlays", "plays", projection="KEYS_ONLY")
BY_LABEL = index("byGenreAndYear", "genre", ranges=("year",), projection="INCLUDE", include=["label"])


def songs(**changes: Any) -> dict[str, Any]:
    """A CreateTable request; None takes a member out."""
    request = {
        "TableName": "songs",
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [element("artist", "HASH"), element("song", "RANGE")],
        "AttributeDefinitions": attributes(*TYPES),
        "LocalSecondaryIndexes": [BY_YEAR],
        "GlobalSecondaryIndexes": [BY_GENRE, BY_PLAYS, BY_LABEL],
        **changes,
    }
    return {name: value for name, value in request.items() if value is not None}


def song(artist: str, title: str, **more: Any) -> dict[str, Any]:
    """An item: text becomes S, numbers N."""
    values = {"artist": artist, "song": title, **more}
    return {
        name: {"N": str(value)} if isinstance(value, int) else {"S": value} for name, value in values.items()
    }


def put(api: Conformance, artist: str, title: str, **more: Any) -> dict[str, Any]:
    """Put a song. Returns: the item."""
    item = song(artist, title, **more)
    api.dynamodb.put_item(TableName="songs", Item=item)
    return item


def of_index(api: Conformance, name: str, **condition: Any) -> list[dict[str, Any]]:
    """Every item of an index whose hash attributes equal these, page by page of two."""
    return pages(
        api,
        "query",
        IndexName=name,
        KeyConditionExpression=" AND ".join(f"#{name} = :{name}" for name in condition),
        ExpressionAttributeNames={f"#{name}": name for name in condition},
        ExpressionAttributeValues={
            f":{name}": song("", "", x=value)["x"] for name, value in condition.items()
        },
    )


def pages(
    api: Conformance, operation: str, table: str = "songs", limit: int = 2, **request: Any
) -> list[dict[str, Any]]:
    """All items of a Query or Scan, in pages of `limit`."""
    items: list[dict[str, Any]] = []
    while True:
        page = getattr(api.dynamodb, operation)(TableName=table, Limit=limit, **request)
        items += page["Items"]
        if "LastEvaluatedKey" not in page:
            return items
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"]
