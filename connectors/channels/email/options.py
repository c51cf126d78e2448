"""What the parser must know of its installation, and how far it follows a hostile mail."""

from collections.abc import Sequence

from msgspec import Struct

from plugins import MOST_TEXT


class Limits(Struct, frozen=True, kw_only=True):
    """Bounds of one mail. Beyond one the rest is left unread and `fields["limits"]` names it; the raw mail is kept.

    Mails of people stay far below; Exchange, for one, takes 30 nested parts and 250 KiB of headers.
    """

    depth: int = 20
    parts: int = 1000
    headers: int = 1000
    """Header fields of one part."""
    header_bytes: int = 256 << 10
    """Bytes of one part's header block."""
    addresses: int = 500
    """Addresses of one header; also the longest `Message.recipients`."""
    text: int = MOST_TEXT
    """Characters of `Message.text`; the whole of a longer text becomes an attachment."""
    html: int = 1 << 20
    """Bytes of an HTML body that is sanitised; a longer one becomes an attachment."""
    html_text: int = 128 << 10
    """Characters of HTML that are laid out as text; the tail of a longer one only loses its tags."""
    folded: int = 128 << 10
    """Characters in which quotes and signatures are looked for; what follows stays visible."""


class ParseOptions(Struct, frozen=True, kw_only=True):
    """Settings of one mailbox as far as reading mail needs them."""

    addresses: Sequence[str] = ()
    """Our own addresses without plus suffix; the first one answers where a mail names none."""
    domains: Sequence[str] = ()
    """Right-hand sides of our Message-IDs: `<key@domain>` is a message that we sent."""
    authserv_ids: Sequence[str] = ()
    """Names under which our border writes Authentication-Results, stripping forged ones (RFC 8601 §5)."""
    hops: int = 0
    """`Received` fields that our own servers write above those Authentication-Results."""
    fallback_charset: str = ""
    """For text that names no charset and is no UTF-8; "" lets chardet guess."""
    limits: Limits = Limits()
