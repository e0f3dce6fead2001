"""What is said without accounts, identities of keys, and secrets: for logs, and for whatever else is read by
more people than may know them.

Theory of operation. Accounts and identities of keys are known by their form. Secrets and session tokens have
none, but this process has them: whoever loads credentials says so here, and the very text is masked from then
on, also where a service gives it back (a refused signature is answered with the whole request that should
have been signed, its token included) or a handler's own error has it.
Rules of this file: the account that an embedded engine has, all zeros, is nobody's. Called by cli/logs.py,
server/fleet.py and entry/handler.py; told by aws/places.py and stores/state_targets.py.
"""

import logging
import re
from typing import Final

SECRETS: Final = re.compile(
    r"(?P<arn>\barn:aws[a-z-]*:[a-z0-9-]*:[a-z0-9-]*:)(?!0{12})[0-9]{12}"
    r"|(?<![0-9A-Za-z])(?!0{12})[0-9]{12}(?![0-9A-Za-z])"
    r"|\b(?:AKIA|ASIA|AROA|AIDA|ANPA|AGPA)[A-Z0-9]{8,}"
)
"""Accounts, in names of resources and alone, and the identities of keys, roles and users."""
KEPT_SECRET: Final = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
"""Variables of the environment that clients of a user's read, too."""
LEAST: Final = 12
"""A shorter text is no secret: to mask `any` would mask half of what is said."""
MOST: Final = 64
"""So many are remembered, the newest: session tokens are renewed each hour."""
_known: dict[str, None] = {}


def learn(*secrets: str | None) -> None:
    """These are never said any more. Shape: None and what is too short are left out."""
    for secret in secrets:
        if secret is not None and len(secret) >= LEAST:
            _known.pop(secret, None)
            _known[secret] = None
    while len(_known) > MOST:
        del _known[next(iter(_known))]


def hidden(text: str) -> str:
    """A text without secrets of this process: for the one who typed a command, and knows the account."""
    for secret in tuple(_known):
        text = text.replace(secret, "***")
    return text


def masked(text: str) -> str:
    """A text without account ids, identities of keys, and secrets of this process: AWS's refusals name all
    three.

    >>> masked("User: arn:aws:iam::123456789012:user/shop is not authorized")
    'User: arn:aws:iam::***:user/shop is not authorized'
    """
    return SECRETS.sub(lambda match: f"{match['arn'] or ''}***", hidden(text))


class Masked(logging.Formatter):
    """Another form, masked."""

    def __init__(self, form: logging.Formatter) -> None:
        super().__init__()
        self.form = form

    def format(self, record: logging.LogRecord) -> str:
        """Render a record."""
        return masked(self.form.format(record))


def mask_handlers(logger: logging.Logger) -> None:
    """What the handlers of a logger write is masked from now on. Repeatable."""
    for handler in logger.handlers:
        if not isinstance(handler.formatter, Masked):
            handler.setFormatter(Masked(handler.formatter or logging.Formatter()))
