"""Heads that are signed: Ed25519, with keys in PEM files as `openssl genpkey -algorithm ed25519` makes them.

Stands alone because only here an extra for cryptography is needed.
Rules of this file: a signature says that whoever has the key saw this head; that the key is theirs, its
reader has to know: compare it with one that came another way.
"""

from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from tailrace.errors import SettingsError, Unavailable
from tailrace.journal.core.heads import TreeHead

MAKE: Final = "openssl genpkey -algorithm ed25519 -out key.pem"
EXPORT: Final = "openssl pkey -in key.pem -pubout -out public.pem"


def signed_head(head: TreeHead, key: Path) -> TreeHead:
    """A head with a signature. Shape: `key` is a private key in PEM without a password.

    Raises: SettingsError for a file that has none; Unavailable without the extra.
    """
    ed25519, serialization = _installed()
    try:
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise SettingsError(f"{key} has no private key that can be read: {error}", hint=MAKE) from error
    if not isinstance(private, ed25519.Ed25519PrivateKey):
        raise SettingsError(f"{key} is no Ed25519 key", hint=MAKE)
    public = private.public_key().public_bytes_raw().hex()
    return replace(head, key=public, signature=private.sign(head.signed).hex())


def check_signature(head: TreeHead, name: str, public: Path | None) -> None:
    """Require that a head's signature is one, and with a public key that it is that key's; a head without a
    signature passes where no key is asked for. Raises: SettingsError naming the head; Unavailable.
    """
    if not head.signature and public is None:
        return
    ed25519, serialization = _installed()
    if not head.signature:
        raise SettingsError(
            f"{name} is not signed", hint="tailrace journal verify PLACE --table TABLE --sign KEY --head FILE"
        )
    if public is not None:
        try:
            expected = serialization.load_pem_public_key(public.read_bytes())
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"{public} has no public key that can be read: {error}", hint=EXPORT
            ) from error
        if not isinstance(expected, ed25519.Ed25519PublicKey):
            raise SettingsError(f"{public} is no Ed25519 key", hint=EXPORT)
        if expected.public_bytes_raw().hex() != head.key:
            raise SettingsError(f"{name} is signed with another key than {public}: {head.key}")
    from cryptography.exceptions import InvalidSignature

    try:
        key = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(head.key))
        key.verify(bytes.fromhex(head.signature), head.signed)
    except (InvalidSignature, ValueError) as error:
        raise SettingsError(f"{name} has a signature that is not that of its key {head.key}") from error


def _installed() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise Unavailable(
            "signed heads need the extra `history`: pip install '.[history]' in the checkout, and start again"
        ) from error
    return ed25519, serialization
