"""Settings of kind `webchat`, as they stand in `plugins.toml`."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from plugins import Secret

MAX_FILE = 10 << 20


class Question(Struct, frozen=True, kw_only=True):
    """One field of the form before the first line."""

    name: Annotated[
        str,
        Meta(
            description='What rules call it. "name" names the person; "email" is where answers go after they left.',
            pattern="^[a-z][a-z0-9_]{0,31}$",
        ),
    ]
    label: Annotated[str, Meta(description="What people read.", min_length=1, max_length=200)]
    type: Annotated[Literal["text", "email"], Meta(description="What may be filled in.")] = "text"
    required: Annotated[bool, Meta(description="No chat without it.")] = False


class Users(Struct, frozen=True, kw_only=True):
    """How the site says who is signed in: a JSON Web Token that its backend makes."""

    key: Annotated[
        Secret, Meta(description="HS256: the shared secret, 32 characters or more; others: public key, PEM.")
    ]
    audience: Annotated[str, Meta(description="The token's `aud` must be or hold this.", min_length=1, max_length=200)]
    issuer: Annotated[
        str, Meta(description="The token's `iss` must be this; trust names it too.", min_length=1, max_length=200)
    ]
    algorithm: Annotated[
        Literal["HS256", "ES256", "RS256", "EdDSA"], Meta(description="The only one that is accepted.")
    ] = "HS256"

    def __post_init__(self) -> None:
        """RFC 7518 §3.2: a key is as long as the hash; a blanked one passes."""
        key = self.key.reveal()
        if key and self.algorithm == "HS256" and len(key.encode()) < 32:
            raise ValueError("the key of HS256 has at least 32 bytes")


class WebchatSettings(Struct, frozen=True, kw_only=True):
    """Settings of kind `webchat`."""

    secrets: Annotated[
        tuple[Secret, ...],
        Meta(
            min_length=1,
            max_length=4,
            description="Sign visitors' sessions; the first signs, several while they rotate.",
        ),
    ]
    origins: Annotated[
        tuple[str, ...],
        Meta(
            max_length=100, description='Sites that may embed the widget: "https://www.example.org". Ours always may.'
        ),
    ] = ()
    title: Annotated[str, Meta(description="Heading of the widget.", min_length=1, max_length=100)] = "Chat with us"
    greeting: Annotated[str, Meta(description="What stands above an empty conversation.", max_length=1000)] = ""
    accent: Annotated[str, Meta(description="Colour of buttons and own lines.", pattern="^#[0-9a-fA-F]{6}$")] = (
        "#0b57a4"
    )
    theme: Annotated[Literal["auto", "light", "dark"], Meta(description="auto follows the visitor's device.")] = "auto"
    language: Annotated[
        Literal["", "en", "de"], Meta(description="Of the widget's own words; empty: the page's, else English.")
    ] = ""
    form: Annotated[
        tuple[Question, ...], Meta(max_length=10, description="Asked before the first line; empty: nothing is.")
    ] = ()
    users: Annotated[
        Users | None, Meta(description="Visitors who are signed in at the site; unset: all are anonymous.")
    ] = None
    session_days: Annotated[
        int, Meta(description="Days until a visitor who did not come back begins anew.", ge=1, le=365)
    ] = 30
    max_file: Annotated[
        int, Meta(description="Bytes of one file that a visitor sends; 0: none can be sent.", ge=0, le=100 << 20)
    ] = MAX_FILE
    fallback_after: Annotated[
        float,
        Meta(
            description="Seconds until an answer that nobody fetched goes to the address left; 0: never.",
            ge=0,
            le=315_360_000,
        ),
    ] = 120.0

    def __post_init__(self) -> None:
        """What a type can't say."""
        for origin in self.origins:
            parts = urlsplit(origin)
            if (
                parts.scheme not in {"http", "https"}
                or not parts.netloc
                or origin != f"{parts.scheme}://{parts.netloc}"
            ):
                raise ValueError(
                    f'origins: {origin!r} is no origin: write scheme and host only ("https://www.example.org")'
                )
        names = [question.name for question in self.form]
        if len(names) != len(set(names)) or {"fallback", "page"} & set(names):
            raise ValueError("form: each name stands once, and fallback and page are taken")
