"""Misses of the corpora that are no faults of ours, each with its reason: (mail or folder/, field) → reason."""

_STALWART = "stalwart_mail_parser/resources/eml/"
_LAST_PART = "its project calls the last text of a container without end delimiter an attachment; we show it"

EXPLAINED: dict[tuple[str, str], str] = {
    (_STALWART + "malformed/", "attachments"): _LAST_PART,
    (_STALWART + "malformed/008.eml", "visible_text"): _LAST_PART,
    (
        _STALWART + "malformed/009.eml",
        "visible_text",
    ): "an outer boundary ends the inner container (RFC 2046 §5.1.2); there it does not",
    (_STALWART + "malformed/011.eml", "visible_text"): "the same mail as malformed/009",
    (_STALWART + "malformed/016.eml", "visible_text"): "an outer boundary ends the inner containers; there it does not",
    (_STALWART + "malformed/005.eml", "visible_text"): "one delimiter is the end of another: both readings are right",
    (_STALWART + "malformed/019.eml", "visible_text"): "noise of a fuzzer: there is no right reading",
    (_STALWART + "thirdparty/005.eml", "visible_text"): "a delimiter inside a line is none (RFC 2046 §5.1.1)",
    (_STALWART + "thirdparty/002.eml", "visible_text"): "broken base64: its project gives up, we show what decodes",
    (_STALWART + "thirdparty/002.eml", "attachments"): "broken base64 declared as text stays text",
    (
        _STALWART + "thirdparty/015.eml",
        "attachments",
    ): "three attached mails; its project reads the second and third into the first",
    (_STALWART + "rfc/003.eml", "attachments"): "text/enriched is an alternative of the text that is shown, no file",
    (
        "chatwoot/spec/fixtures/files/mail_with_html_part_no_html_content.eml",
        "attachments",
    ): "an inline image that the HTML shows: kept as media, not counted there",
    (
        "email_reply_trimmer/test/emails/embedded_email_1.txt",
        "visible_text",
    ): "cut there on the guess that words behind a quotation are a signature; we hide no unmarked words",
    (
        "mikel_mail/spec/fixtures/emails/error_emails/content_transfer_encoding_x_uuencode.eml",
        "files_stdlib",
    ): "the standard library gives up on its short lines, we read what is there",
    (
        "sisimai/maildir/mac/lhost-mcafee-01.eml",
        "files_stdlib",
    ): "its line ends are bare CR, which become LF before anything is read",
}
