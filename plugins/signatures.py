"""HMAC schemes of webhooks: pure functions over bytes, a clock given by the caller, constant-time comparison.

Whatever is wrong with a signed request is `NotAuthentic`: a caller who forges learns nothing, and no odd
header can raise anything else. An empty key never verifies: it is what a blanked secret looks like.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import datetime

from plugins.errors import NotAuthentic, WrongTime
from plugins.model import Request, Secret

TOLERANCE = 300.0
"""Seconds, both ways: Standard Webhooks and Slack both say five minutes."""

_ID = re.compile(r"[!-\-/-~]+")
"""Visible ASCII without a dot: with dots, `{id}.{timestamp}.{body}` could be cut in a second way."""
_STAMP = re.compile(r"[0-9]{1,12}")


def standard_key(secret: Secret) -> bytes:
    """The signing key inside `whsec_` + base64 (Standard Webhooks 1.0, "signature scheme").

    Raises:
        ValueError: not base64, or not 24 to 64 bytes; the message never holds the value.
    """
    text = secret.reveal().removeprefix("whsec_")
    try:
        key = binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except (binascii.Error, ValueError):
        raise ValueError("a Standard Webhooks secret is whsec_ and base64") from None
    if not 24 <= len(key) <= 64:
        raise ValueError("a Standard Webhooks secret holds 24 to 64 bytes")
    return key


def standard_sign(secrets: Sequence[Secret], *, key: str, at: datetime, body: bytes) -> dict[str, str]:
    """Headers of a signed request; several secrets give several signatures (rotation).

    `key` becomes `webhook-id`: the same on every retry, while `at` is the time of this one.
    """
    if not _ID.fullmatch(key):
        raise ValueError("a webhook-id is visible ASCII without a dot")
    stamp = str(int(at.timestamp()))
    content = _standard_content(key, stamp, body)
    signatures = b" ".join(_standard(standard_key(secret), content) for secret in secrets)
    return {"webhook-id": key, "webhook-timestamp": stamp, "webhook-signature": signatures.decode()}


def standard_verify(request: Request, secrets: Sequence[Secret]) -> str:
    """The `webhook-id` of a genuine request: the delivery key, equal on redelivery.

    One listed `v1` signature by one of the secrets is enough; unknown versions are passed over.
    """
    headers = request.headers
    key, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    listed = headers.get("webhook-signature", "")
    if not _ID.fullmatch(key):
        raise NotAuthentic("webhook-id is missing or odd")
    check_age(stamp, request.at)
    if ", " in listed:
        raise NotAuthentic("webhook-signature stands twice")  # joined by the hub; a list has no comma before a blank
    content = _standard_content(key, stamp, request.body)
    given = listed.encode("utf-8", "replace").split(b" ")
    genuine = False
    for secret in secrets:
        if not secret.reveal():
            continue
        expected = _standard(standard_key(secret), content)
        for signature in given:
            genuine |= hmac.compare_digest(expected, signature)
    if not genuine:
        raise NotAuthentic("no listed signature matches")
    return key


def check_age(stamp: str, at: datetime, tolerance: float = TOLERANCE) -> None:
    """Raise WrongTime, a NotAuthentic, if `stamp` (unix seconds) is further than `tolerance` seconds from `at`."""
    if not _STAMP.fullmatch(stamp):
        raise NotAuthentic("the timestamp is missing or no number")
    if abs(at.timestamp() - int(stamp)) > tolerance:
        raise WrongTime("the timestamp is too far from our clock")


def hmac_sign(secret: Secret, content: bytes, *, prefix: str = "sha256=") -> str:
    """`prefix` + hex HMAC-SHA256: GitHub, Meta, Jira `sha256=` over the body; Slack `v0=` over `v0:{ts}:{body}`."""
    return prefix + hmac.new(secret.reveal().encode(), content, hashlib.sha256).hexdigest()


def hmac_verify(signature: str, content: bytes, secrets: Sequence[Secret], *, prefix: str = "sha256=") -> None:
    """Raise NotAuthentic unless one of `secrets` signed exactly these bytes, never a re-serialised form of them."""
    given = signature.encode("utf-8", "replace")
    genuine = False
    for secret in secrets:
        if secret.reveal():
            genuine |= hmac.compare_digest(hmac_sign(secret, content, prefix=prefix).encode(), given)
    if not genuine:
        raise NotAuthentic("the signature is missing or wrong")


def token_verify(given: str, secrets: Sequence[Secret]) -> None:
    """Raise NotAuthentic unless `given` is one of `secrets`: for sources that send a token instead of a signature."""
    genuine = False
    for secret in secrets:
        if secret.reveal():
            genuine |= hmac.compare_digest(secret.reveal().encode(), given.encode("utf-8", "replace"))
    if not genuine:
        raise NotAuthentic("the token is missing or wrong")


def _standard_content(webhook_id: str, stamp: str, body: bytes) -> bytes:
    return f"{webhook_id}.{stamp}.".encode() + body


def _standard(key: bytes, content: bytes) -> bytes:
    # not hmac.digest, which hands the interpreter to the store's thread and waits for it, on each request
    return b"v1," + base64.b64encode(hmac.new(key, content, "sha256").digest())
