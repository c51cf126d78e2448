"""Mails of 20 kB, always the same ones: mixed and alternative, quoted-printable, a picture, encoded headers."""

from base64 import b64encode
from email.charset import QP, Charset
from email.header import Header
from email.mime.image import MIMEImage
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from random import Random

COUNT = 100
_TEXT = """
the printer on floor three shows paper jam again since this morning please help us because für über größe nicht Zugang
VPN password expired account locked Besprechung Drucker meeting room screen network slow email address
"""
_WORDS = _TEXT.split()


def mails(count: int = COUNT, seed: int = 3) -> list[bytes]:
    """A fifth of them quote an older mail, as replies do."""
    random = Random(seed)
    return [_mail(random, n) for n in range(count)]


def _mail(random: Random, n: int) -> bytes:
    mail = MIMEMultipart("mixed")
    sender = Header(f"Jörg Müller {n}", "utf-8").encode()
    mail["Received"] = f"from relay{n}.acme.test by mx.desk.test with ESMTPS; Fri, 20 Nov 2026 09:00:00 +0000"
    mail["From"] = f"{sender} <user{n % 40}@acme.test>"
    mail["To"] = "Service desk <support@trunkline.test>, Team <team@acme.test>"
    mail["Cc"] = ", ".join(f"Colleague {k} <colleague{k}@acme.test>" for k in range(4))
    mail["Subject"] = Header(f"Größeres Problem {n}: {_text(random, 6)}", "utf-8").encode()
    mail["Date"] = "Fri, 20 Nov 2026 09:00:00 +0100"
    mail["Message-ID"] = f"<{_token(random)}.{n}@acme.test>"
    if n % 5 == 0:
        mail["In-Reply-To"] = f"<older.{n}@acme.test>"
        mail["References"] = " ".join(f"<ref{k}.{n}@acme.test>" for k in range(6))
    body = MIMEMultipart("alternative")
    paragraphs = [_text(random, 60) for _ in range(14)]
    quoted = [f"> {_text(random, 10)}" for _ in range(20)] if n % 5 == 0 else []
    said = ["On Thu, 19 Nov 2026 at 08:12, Service desk <support@trunkline.test> wrote:", *quoted] if quoted else []
    body.attach(_part("plain", "\r\n\r\n".join(paragraphs) + "\r\n\r\n-- \r\nJörg Müller\r\n" + "\r\n".join(said)))
    inner = "".join(f'<p style="margin:0"><span class="x">{text}</span></p>' for text in paragraphs)
    body.attach(_part("html", f"<html><head><style>p{{color:red}}</style></head><body>{inner}</body></html>"))
    mail.attach(body)
    image = MIMEImage(b"\x89PNG\r\n" + random.randbytes(3400), "png")
    image.add_header("Content-Disposition", "attachment", filename=f"screen {n}.png")
    mail.attach(image)
    return mail.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _token(random: Random) -> str:
    return b64encode(random.randbytes(9), b"ab").decode()


def _text(random: Random, words: int) -> str:
    return " ".join(random.choice(_WORDS) for _ in range(words))


def _part(kind: str, text: str) -> MIMENonMultipart:
    charset = Charset("utf-8")
    charset.body_encoding = QP
    part = MIMENonMultipart("text", kind, charset="utf-8")
    part.set_payload(text, charset)
    return part
