# SPDX-License-Identifier: Apache-2.0
"""Authentication of a test cluster: a keyfile and one user with the role root."""

import base64
import dataclasses
import os
import secrets
from pathlib import Path
from urllib.parse import quote_plus


@dataclasses.dataclass(frozen=True)
class Auth:
    """User and password of the first user. Immutable."""

    user: str = "admin"
    password: str = "secret"

    @classmethod
    def parse(cls, text):
        """From "user:password" as the command line has it."""
        user, colon, password = text.partition(":")
        if not (user and colon and password):
            raise ValueError("expected user:password")
        return cls(user, password)

    @property
    def uri_prefix(self):
        return f"{quote_plus(self.user)}:{quote_plus(self.password)}@"


def make_keyfile(path):
    """Write a random keyfile that only its owner may read, unless it is there already."""
    path = Path(path)
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(96)) + b"\n")
    return path
