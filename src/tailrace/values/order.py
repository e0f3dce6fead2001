"""Order: bytes that sort as DynamoDB sorts the values behind them.

Rules of this file: strings sort by their UTF-8 bytes, binaries by their unsigned bytes, numbers by value;
other types have no order. Source: semantics §6.4.
"""

from base64 import b64decode, b64encode
from typing import Final

from tailrace.values.number import compare
from tailrace.values.types import AttributeValue

BIAS: Final = 131
"""Makes the exponent of the smallest magnitude positive."""
ZERO: Final = b"\x80"
INVERTED: Final = bytes(255 - byte for byte in range(256))


def ordered_bytes(value: AttributeValue) -> bytes:
    """The order-preserving bytes of a string, number or binary (canonical).

    >>> numbers = [ordered_bytes({"N": text}) for text in ("-12", "-1.5", "9", "10")]
    >>> numbers == sorted(numbers)
    True
    """
    for kind, content in value.items():
        if kind == "S":
            return bytes(content, "utf-8")
        if kind == "N":
            return number_bytes(content)
        if kind == "B":
            return b64decode(content)
    raise ValueError(f"no order: {value}")


def number_bytes(text: str) -> bytes:
    """A normalised number: a byte for the sign, two for the exponent, one for each digit."""
    if text == "0":
        return ZERO
    negative = text[0] == "-"
    whole, _, fraction = text.removeprefix("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    exponent = len(whole) if whole != "0" else len(digits) - len(fraction)
    magnitude = (exponent + BIAS).to_bytes(2, "big") + digits.rstrip("0").encode()
    # Of two negative numbers the one with more digits is the smaller: an end mark above every digit turns
    # that round.
    return b"\x7f" + magnitude.translate(INVERTED) + b"\xff" if negative else b"\x81" + magnitude


def terminated(data: bytes) -> bytes:
    """The same order, prefix-free: a zero byte inside is escaped, and the end is marked."""
    return data.replace(b"\x00", b"\x00\xff") + b"\x00\x01"


def split_terminated(data: bytes) -> tuple[bytes, bytes]:
    """What was terminated, and what stands behind it. Raises: ValueError when there is no end.

    >>> split_terminated(terminated(b"a\\x00b") + b"rest")
    (b'a\\x00b', b'rest')
    """
    end = 0
    while True:
        end = data.index(b"\x00", end)
        if data[end + 1 : end + 2] == b"\x01":
            return data[:end].replace(b"\x00\xff", b"\x00"), data[end + 2 :]
        end += 2


def value_of(kind: str, data: bytes) -> AttributeValue:
    """The value with these ordered bytes. Raises: ValueError, IndexError when they are none of this kind.

    >>> [value_of("N", number_bytes(text))["N"] for text in ("0", "-12.5", "1000", "0.001")]
    ['0', '-12.5', '1000', '0.001']
    """
    if kind == "S":
        return {"S": data.decode()}
    if kind == "B":
        return {"B": b64encode(data).decode()}
    if data == ZERO:
        return {"N": "0"}
    magnitude = data[1:]
    if data[0] == 0x7F:
        magnitude = magnitude[:-1].translate(INVERTED)
    exponent = int.from_bytes(magnitude[:2], "big") - BIAS
    digits = magnitude[2:].decode()
    if not digits.isdecimal():
        raise ValueError(f"no number: {data.hex()}")
    if exponent <= 0:
        text = f"0.{'0' * -exponent}{digits}"
    elif exponent >= len(digits):
        text = digits + "0" * (exponent - len(digits))
    else:
        text = f"{digits[:exponent]}.{digits[exponent:]}"
    return {"N": f"-{text}" if data[0] == 0x7F else text}


def compare_values(a: AttributeValue, b: AttributeValue) -> int | None:
    """-1, 0 or 1 for two strings, numbers or binaries of one type; None when they cannot be compared."""
    for kind, content in a.items():
        other = b.get(kind)
        if other is None:
            return None
        if kind == "N":
            return compare(content, other)
        if kind == "S":  # code points lie as their UTF-8 bytes do
            return 0 if content == other else 1 if content > other else -1
        if kind == "B":
            left, right = b64decode(content), b64decode(other)
            return (left > right) - (left < right)
    return None
