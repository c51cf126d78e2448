"""What many vendors have in common: moments that may be nonsense, forms with files, calls that fail in a `check`."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from plugins.errors import Pause, Refuse, Retry, Uncertain
from plugins.model import Finding

EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)


def plausible(said: datetime | float | str | None, received: datetime) -> datetime:
    """The source's time, unless it is missing, unreadable or plainly wrong: then the time of receipt.

    `said`: a moment with its zone, or unix seconds as number or text. Plain wrong is before 1990, or more than a day
    ahead of `received`.
    """
    try:
        if isinstance(said, str | int | float):
            said = datetime.fromtimestamp(float(said), UTC)
    except (ValueError, OverflowError, OSError):
        return received
    if said is None or not EARLIEST < said < received + timedelta(days=1):
        return received
    return said


def multipart(fields: Mapping[str, str], files: Sequence[tuple[str, str, str, bytes]]) -> tuple[str, bytes]:
    """(content type, body) of a form with files (RFC 7578), the same for the same input.

    `files`: (field, file name, media type, bytes). Names are made harmless: a quote or line end can't leave its header.
    """
    digest = hashlib.sha256()
    parts = []
    for name, value in fields.items():
        parts.append((f'form-data; name="{_quoted(name)}"', "", value.encode()))
    for name, file, kind, data in files:
        parts.append((f'form-data; name="{_quoted(name)}"; filename="{_quoted(file) or "file"}"', kind, data))
    for _, _, data in parts:
        digest.update(hashlib.sha256(data).digest())
    boundary = f"trunkline-{digest.hexdigest()[:48]}"  # RFC 2046 allows 70; a hash of what it parts stands in none
    body = b""
    for disposition, kind, data in parts:
        head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\n"
        head += f"Content-Type: {_quoted(kind)}\r\n" if kind else ""
        body += head.encode() + b"\r\n" + data + b"\r\n"
    return f"multipart/form-data; boundary={boundary}", body + f"--{boundary}--\r\n".encode()


def unwell(far: str, error: Pause | Refuse | Retry | Uncertain, fix: str) -> Finding:
    """What `check` says of a call that failed; `fix` is for what `far` itself refused (a token, a right).

    Where nobody answered, or not now, no token is wrong.
    """
    if isinstance(error, Retry | Uncertain):
        fix = "look at the address and at the way there (DNS, firewall, proxy), or try again later"
        return Finding(ok=False, what=f"{far} can't be reached: {error}", fix=fix)
    if isinstance(error, Refuse) and error.code == "egress_refused":
        return Finding(ok=False, what=f"we may not call {far}: {error}", fix="look at the address and at [hub.egress]")
    return Finding(ok=False, what=f"{far} refuses: {error}", fix=fix)


def _quoted(text: str) -> str:
    """As browsers write it (WHATWG HTML, "multipart/form-data"), other control characters left out."""
    text = text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
    return "".join(sign for sign in text if sign.isprintable())
