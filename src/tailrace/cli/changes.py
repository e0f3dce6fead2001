"""A change on one line, for people: `12:00:01  MODIFY  shop/o1  status "new" → "paid"`.

Rules of this file: the change is the `tail` verb's value (DynamoDB JSON images) and the result is text with
colours, which click removes where the output is no terminal. Whatever an item holds, nothing of it can steer
the terminal.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import click

COLOURS: Final = {"INSERT": "green", "MODIFY": "yellow", "REMOVE": "red"}
WIDEST: Final = 240
"""Characters shown of one item or value; `--json` shows all."""


def line(change: Mapping[str, Any], *, diff: bool = False) -> str:
    """Time, event, key and item, in colours; with `diff` only what differs."""
    name = change["event_name"]
    at = click.style(str(change["at"])[11:23], dim=True)
    event = click.style(f"{name:6}", fg=COLOURS.get(name))
    who = click.style(f"{change['table']}/{key_text(change['keys'])}", bold=True)
    origin = click.style("  (ttl)", dim=True) if change.get("by_ttl") else ""
    return f"{at}  {event}  {who}{origin}  {difference(change) if diff else images(change)}"


def images(change: Mapping[str, Any]) -> str:
    """The image that is left: the new one, or what was removed."""
    if change["new"] is not None:
        return shown(item_text(change["new"]))
    return click.style(shown(item_text(change["old"] or {})), strikethrough=True, dim=True)


def difference(change: Mapping[str, Any]) -> str:
    """Every attribute that differs, old → new."""
    parts = list(_differences(change["old"] or {}, change["new"] or {}))
    return ", ".join(parts) or click.style("nothing but its keys", dim=True)


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        gone = click.style(shown(value_text(before)), fg="red") if before is not None else ""
        come = click.style(shown(value_text(after)), fg="green") if after is not None else ""
        match before, after:
            case None, _:
                yield f"+{printable(name)} {come}"
            case _, None:
                yield f"-{printable(name)} {gone}"
            case _:
                yield f"{printable(name)} {gone} → {come}"


def counted(count: int, noun: str) -> str:
    """How many there are, in words.

    >>> counted(1, "item"), counted(0, "item"), counted(1_200, "old one")
    ('1 item', '0 items', '1,200 old ones')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def key_text(keys: Mapping[str, Any]) -> str:
    """A key as `why` takes it back: `pk` or `pk/sk`."""
    return "/".join(printable(str(next(iter(value.values())))) for value in keys.values())


def item_text(item: Mapping[str, Any]) -> str:
    """An item in plain JSON, without DynamoDB's type letters."""
    return "{" + ", ".join(f"{printable(name)}: {value_text(value)}" for name, value in item.items()) + "}"


def value_text(value: Mapping[str, Any]) -> str:
    """One attribute value in plain words."""
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return printable(str(content))
        case "M":
            return item_text(content)
        case "L":
            return "[" + ", ".join(value_text(element) for element in content) + "]"
        case "NS":
            return "{" + ", ".join(printable(str(number)) for number in content) + "}"
        case "SS" | "BS":
            return "{" + ", ".join(_quoted(text) for text in content) + "}"
        case "NULL":
            return "null"
        case "BOOL":
            return "true" if content else "false"
        case "B":
            return f"base64:{printable(str(content))}"
        case _:
            return _quoted(content)


def _quoted(text: object) -> str:
    return printable(json.dumps(text, ensure_ascii=False))


def printable(text: str) -> str:
    r"""The text with everything escaped that could move a cursor or change a colour.

    >>> printable("a\x1b[31m\u202e")
    'a\\x1b[31m\\u202e'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown(text: str) -> str:
    """At most a line's worth of text."""
    return text if len(text) <= WIDEST else f"{text[:WIDEST]}… ({len(text)} characters)"
