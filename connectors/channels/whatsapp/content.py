"""What a message of WhatsApp consists of: text, files, and everything that is put into words."""

import msgspec
from msgspec import Struct

from connectors.channels.whatsapp.errors import Fault
from plugins import Media

_FORM = 50
"""Answers of a form that are shown."""


class _Text(Struct, frozen=True):
    body: str = ""


class _File(Struct, frozen=True):
    id: str
    mime_type: str = ""
    filename: str = ""
    caption: str = ""


class _Place(Struct, frozen=True):
    latitude: float
    longitude: float
    name: str = ""
    address: str = ""


class _Name(Struct, frozen=True):
    formatted_name: str = ""


class _Phone(Struct, frozen=True):
    phone: str = ""


class _Mail(Struct, frozen=True):
    email: str = ""


class _Card(Struct, frozen=True):
    name: _Name = _Name()
    phones: tuple[_Phone, ...] = ()
    emails: tuple[_Mail, ...] = ()


class _Choice(Struct, frozen=True):
    id: str = ""
    title: str = ""


class _Form(Struct, frozen=True):
    name: str = ""
    body: str = ""
    response_json: str = ""


class _Interactive(Struct, frozen=True):
    button_reply: _Choice | None = None
    list_reply: _Choice | None = None
    nfm_reply: _Form | None = None


class _Button(Struct, frozen=True):
    text: str = ""
    payload: str = ""


class _Product(Struct, frozen=True):
    product_retailer_id: str = ""
    quantity: int | str = 1


class _Order(Struct, frozen=True):
    text: str = ""
    product_items: tuple[_Product, ...] = ()


class _Referral(Struct, frozen=True):
    source_url: str = ""
    headline: str = ""


class Content(Struct, frozen=True, kw_only=True):
    """The kinds of content that are read; `type` names the one that is there."""

    type: str = ""
    text: _Text | None = None
    image: _File | None = None
    video: _File | None = None
    audio: _File | None = None
    document: _File | None = None
    sticker: _File | None = None
    location: _Place | None = None
    contacts: tuple[_Card, ...] = ()
    interactive: _Interactive | None = None
    button: _Button | None = None
    order: _Order | None = None
    referral: _Referral | None = None
    errors: tuple[Fault, ...] = ()


def text_of(said: Content) -> str:
    """Text or caption; a place, cards, choices and orders in words; "" if nothing was said."""
    lines = [said.text.body if said.text else ""]
    lines += [file.caption for file, _, _ in _files(said)]
    if said.location is not None:
        place = said.location
        lines += [place.name, place.address, f"geo:{place.latitude},{place.longitude}"]  # RFC 5870
    for card in said.contacts:
        words = [card.name.formatted_name, *(each.phone for each in card.phones), *(each.email for each in card.emails)]
        lines.append(" ".join(word for word in words if word))
    if said.interactive is not None:
        lines += _chosen(said.interactive)
    if said.button is not None:
        lines.append(said.button.text)
    if said.order is not None:
        lines.append(said.order.text)
        lines += [f"{each.quantity} × {each.product_retailer_id}" for each in said.order.product_items]
    if said.type == "unsupported":  # somebody did say something: an agent must know, and can ask
        lines.append(f"[WhatsApp does not pass this message on: {'; '.join(each.words for each in said.errors)}]")
    return "\n".join(line for line in lines if line)


def _chosen(said: _Interactive) -> list[str]:
    choice, form = said.button_reply or said.list_reply, said.nfm_reply
    if choice is not None:
        return [choice.title or choice.id]
    if form is None:
        return []
    try:
        answers = msgspec.json.decode(form.response_json, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return [form.body or form.name, form.response_json]
    shown = [f"{name}: {bytes(value).decode()}" for name, value in answers.items() if name != "flow_token"]
    return [form.body or form.name, *shown[:_FORM]]


def fields_of(said: Content) -> dict[str, str]:
    """What rules can read: the id behind a button, and the advertisement that the person came from."""
    found = {}
    choice = said.interactive and (said.interactive.button_reply or said.interactive.list_reply)
    if choice:
        found["choice"] = choice.id[:1000]
    if said.button is not None:
        found["choice"] = said.button.payload[:1000]
    if said.referral is not None:
        found |= {"referral": said.referral.source_url[:1000], "headline": said.referral.headline[:1000]}
    return {name: value for name, value in found.items() if value}


def media_of(said: Content) -> tuple[Media, ...]:
    """Files by their ids, fetched later: their addresses live for minutes."""
    return tuple(
        Media(
            ref=file.id, name=(file.filename or name)[:1000],
            type=(file.mime_type.partition(";")[0].strip() or kind)[:200],
        )
        for file, name, kind in _files(said)
        if file.id
    )  # fmt: skip


def _files(said: Content) -> list[tuple[_File, str, str]]:
    files = (
        (said.image, "photo.jpg", "image/jpeg"),
        (said.video, "video.mp4", "video/mp4"),
        (said.audio, "audio.ogg", "audio/ogg"),
        (said.document, "document", "application/octet-stream"),
        (said.sticker, "sticker.webp", "image/webp"),
    )
    return [(file, name, kind) for file, name, kind in files if file is not None]
