"""What a site configures for one mailbox: who it is, where mail comes in, where mail goes out."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from plugins import AddressOrDomain, Fits, Host, MailAddress, Printable, Secret, Unfit, WebAddress

Tls = Literal["tls", "starttls", "none"]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
"""A day at most: a socket takes no longer time-out than 2^31 milliseconds."""

Folder = Annotated[
    str, Fits("a folder's name without control characters", lambda text: text != "" and text.isprintable())
]
"""The standard library sends CR and LF in an IMAP command as they come (S40)."""


class OAuth(Struct, frozen=True, kw_only=True):
    """Log-in by bearer token at IMAP and SMTP, renewed with a refresh token (RFC 6749 §6)."""

    token_url: Annotated[WebAddress, Meta(description="The provider's token endpoint, https.")]
    client_id: Annotated[str, Meta(description="Id of the application that was registered at the provider.")]
    client_secret: Annotated[Secret | None, Meta(description="Its secret; public applications have none.")] = None
    refresh_token: Annotated[Secret, Meta(description="The first refresh token; later ones are kept by the hub.")]
    scope: Annotated[str, Meta(description="Scopes to ask for, if the provider wants them named.")] = ""
    mechanism: Annotated[
        Literal["XOAUTH2", "OAUTHBEARER"], Meta(description="SASL mechanism at IMAP; SMTP always uses XOAUTH2.")
    ] = "XOAUTH2"


class Timeouts(Struct, frozen=True, kw_only=True):
    """Seconds that each phase of an IMAP session may take as a whole."""

    connect: Annotated[Seconds, Meta(description="TCP, TLS and greeting.")] = 20.0
    login: Annotated[Seconds, Meta(description="Log-in.")] = 30.0
    select: Annotated[Seconds, Meta(description="Opening a folder.")] = 60.0
    fetch: Annotated[Seconds, Meta(description="One search, one batch of mails, one move.")] = 180.0
    idle: Annotated[Seconds, Meta(description="Beginning and ending IDLE.")] = 20.0


class Server(Struct, frozen=True, kw_only=True):
    """A server that we connect to."""

    host: Annotated[Host, Meta(description="Host name; its certificate must name it.")]
    port: Annotated[int, Meta(description="0: the usual port for `tls`.", ge=0, le=65535)] = 0
    tls: Annotated[
        Tls, Meta(description="From the first byte, by STARTTLS, or (on loopback only, please) not at all.")
    ] = "tls"
    ca_file: Annotated[str, Meta(description="PEM file of an own certificate authority; the system's if unset.")] = ""
    user: Annotated[Printable, Meta(description="Log-in name; at SMTP, unset means no log-in.")] = ""
    password: Annotated[Secret | None, Meta(description="Password; leave out where `oauth` is set.")] = None


class Imap(Server, frozen=True, kw_only=True):
    """Mail is read from a mailbox."""

    folders: Annotated[
        tuple[Folder, ...],
        Meta(description="Folders to read; IDLE watches the first, the others are polled.", min_length=1),
    ] = ("INBOX",)
    move_to: Annotated[
        Printable, Meta(description="Folder for mails that are recorded; unset leaves them in place.")
    ] = ""
    start: Annotated[
        Literal["all", "new"], Meta(description="Which mails of a folder that is seen for the first time to take.")
    ] = "all"
    poll: Annotated[Seconds, Meta(description="Seconds between two looks, and the longest IDLE.")] = 120.0
    timeouts: Annotated[Timeouts, Meta(description="Seconds for each phase of a session.")] = Timeouts()

    def __post_init__(self) -> None:
        """What its fields don't say one by one."""
        wrong = []
        if self.move_to in self.folders:
            wrong.append(("move_to", "can't be one of the folders that are read"))
        if not self.user:
            wrong.append(("user", "is missing: IMAP has no anonymous mailboxes"))
        if wrong:
            raise Unfit(*wrong)


class Listen(Struct, frozen=True, kw_only=True):
    """Mail is handed to us by a mail server."""

    host: Annotated[Host, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(description="Port to listen on.", ge=0, le=65535)] = 2525
    protocol: Annotated[
        Literal["smtp", "lmtp"], Meta(description="LMTP (RFC 2033) where the mail server speaks it.")
    ] = "smtp"
    accept: Annotated[
        tuple[AddressOrDomain, ...],
        Meta(description='Recipients to take: addresses, or "@domain" for all of one. Unset: our own addresses.'),
    ] = ()
    cert_file: Annotated[str, Meta(description="PEM certificate chain; with it STARTTLS is offered.")] = ""
    key_file: Annotated[str, Meta(description="PEM private key of the certificate.")] = ""
    require_tls: Annotated[bool, Meta(description="Take mail only after STARTTLS.")] = False
    connections: Annotated[
        int,
        Meta(
            ge=1,
            description="At most so many at a time, each may hold one mail. One more gets 421, or a place of whoever "
            "holds most.",
        ),
    ] = 20
    idle: Annotated[
        Seconds, Meta(description="Seconds until a mail begins, and for a whole mail (RFC 5321 §4.5.3.2.7); then 421.")
    ] = 300.0

    def __post_init__(self) -> None:
        """Both files or none."""
        wrong = []
        if bool(self.cert_file) != bool(self.key_file):
            wrong.append((
                "key_file" if self.cert_file else "cert_file",
                "is missing: cert_file and key_file go together",
            ))
        if self.require_tls and not self.cert_file:
            wrong.append(("require_tls", "needs cert_file and key_file"))
        if wrong:
            raise Unfit(*wrong)


class Smtp(Server, frozen=True, kw_only=True):
    """Mail is sent through a mail server."""

    timeout: Annotated[Seconds, Meta(description="Seconds for the connection and for each answer.")] = 60.0


class EmailSettings(Struct, frozen=True, kw_only=True):
    """One mailbox. Without `smtp`, outgoing mail is caught and can be read in the console."""

    address: Annotated[MailAddress, Meta(description="The mailbox's own address: sender and reply address.")]
    display_name: Annotated[Printable, Meta(description="Name of the desk, shown as the sender.", max_length=200)] = ""
    aliases: Annotated[tuple[MailAddress, ...], Meta(description="Further addresses that are delivered here.")] = ()
    plus: Annotated[
        bool, Meta(description="`local+token@domain` is delivered here: answers then find their query by the address.")
    ] = True
    imap: Annotated[Imap | None, Meta(description="Read a mailbox.")] = None
    listen: Annotated[Listen | None, Meta(description="Take mail by SMTP or LMTP.")] = None
    smtp: Annotated[Smtp | None, Meta(description="Send mail.")] = None
    oauth: Annotated[OAuth | None, Meta(description="Log in with a bearer token instead of a password.")] = None
    max_bytes: Annotated[int, Meta(description="Largest mail to take, in bytes.", ge=10_000, le=200 << 20)] = 25 << 20
    authserv_ids: Annotated[
        tuple[str, ...],
        Meta(description="Names under which our border writes Authentication-Results, and deletes forged ones."),
    ] = ()
    hops: Annotated[
        int,
        Meta(
            description="How many `Received` of our own servers stand above those Authentication-Results, at most. "
            "Below more than these nothing is believed.",
            ge=0,
            le=20,
        ),
    ] = 0
    fallback_charset: Annotated[str, Meta(description="For mails that name no charset; unset: it is guessed.")] = ""

    def __post_init__(self) -> None:
        """A log-in needs something to log in with."""
        sides = {"imap": self.imap, "smtp": self.smtp}
        bare = [
            side for side, server in sides.items() if server and server.user and not (server.password or self.oauth)
        ]
        if bare:
            raise Unfit(
                *((f"{side}.password", "is missing: user is set, so password or oauth is needed") for side in bare)
            )

    @property
    def id_domain(self) -> str:
        """Right-hand side of our Message-IDs: a name that colleagues' mail programs don't use for theirs."""
        return "trunkline." + self.address.rpartition("@")[2].lower()
