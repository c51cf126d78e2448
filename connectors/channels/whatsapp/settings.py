"""Settings of kind `whatsapp`, as they stand in `plugins.toml`."""

import re
from typing import Annotated, Literal

from msgspec import Meta, Struct

from plugins import Secret, Unfit


class Template(Struct, frozen=True, kw_only=True):
    """What is sent when the window is closed: an approved template whose body carries the answer."""

    name: Annotated[str, Meta(description="As approved in WhatsApp Manager.", pattern="^[a-z0-9_]{1,512}$")]
    language: Annotated[
        str, Meta(description="The approved language, such as `en` or `pt_BR`.", pattern="^[A-Za-z_]{2,10}$")
    ]
    parameters: Annotated[
        tuple[Literal["reference", "text"], ...],
        Meta(
            description="What stands for {{1}}, {{2}} in its body, in this order; `text` is the answer.", max_length=5
        ),
    ] = ("reference", "text")

    def __post_init__(self) -> None:
        """An answer that was not in the template would count as sent."""
        if "text" not in self.parameters:
            raise Unfit(("parameters", 'needs "text": the template must carry the answer'))


class WhatsAppSettings(Struct, frozen=True, kw_only=True):
    """Settings of kind `whatsapp`."""

    phone_number_id: Annotated[
        str,
        Meta(description="Id of the business number (not the number), in WhatsApp Manager.", pattern="^[0-9]{1,32}$"),
    ]
    token: Annotated[Secret, Meta(description="Access token of a system user that may send for this number.")]
    app_secret: Annotated[Secret, Meta(description="The Meta app's secret: it signs what Meta sends.")]
    verify_token: Annotated[Secret, Meta(description="A word of yours that Meta repeats when the webhook is set up.")]
    template: Annotated[
        Template | None,
        Meta(description="Sent instead of the text later than 24 hours after the person's last message."),
    ] = None
    version: Annotated[str, Meta(description="Version of the Graph API.", pattern=r"^v[0-9]{1,3}\.[0-9]{1,2}$")] = (
        "v24.0"
    )
    api_url: Annotated[str, Meta(description="Where the Graph API is.", pattern="^https?://")] = (
        "https://graph.facebook.com"
    )

    def __post_init__(self) -> None:
        """What a type can't say; blanked secrets pass."""
        if re.search(r"[^!-~]", self.token.reveal()):
            raise Unfit(("token", "an access token is one word of ASCII"))
