# SPDX-License-Identifier: Apache-2.0
"""SCRAM-SHA-256 as a client: how the router logs in to the servers as `__system`."""

import base64
import hashlib
import hmac
import secrets
from pathlib import Path

import bson


def keyfile_password(path):
    """The password of `__system`: the keyfile without white space."""
    return "".join(Path(path).read_text().split())


def authenticate(connection, user, password, database):
    """Log a Connection in; PermissionError if the server refuses."""
    nonce = base64.b64encode(secrets.token_bytes(24)).decode()
    bare = f"n={user},r={nonce}"
    reply = connection.command(
        database,
        {
            "saslStart": 1,
            "mechanism": "SCRAM-SHA-256",
            "payload": bson.Binary(f"n,,{bare}".encode()),
            "options": {"skipEmptyExchange": True},
        },
    )
    _check(reply)
    first = bytes(reply["payload"]).decode()
    fields = dict(part.split("=", 1) for part in first.split(","))
    if not fields["r"].startswith(nonce):
        raise PermissionError("the server's nonce is not ours")
    salted = hashlib.pbkdf2_hmac(
        "sha256", password.encode(), base64.b64decode(fields["s"]), int(fields["i"])
    )
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    without_proof = f"c=biws,r={fields['r']}"
    signed = f"{bare},{first},{without_proof}".encode()
    signature = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(client_key, signature))).decode()
    reply = connection.command(
        database,
        {
            "saslContinue": 1,
            "conversationId": reply["conversationId"],
            "payload": bson.Binary(f"{without_proof},p={proof}".encode()),
        },
    )
    _check(reply)
    if not reply["done"]:
        raise PermissionError("the server wants a longer conversation")


def _check(reply):
    if not reply.get("ok"):
        raise PermissionError(f"log in to a server: {reply.get('errmsg')}")
