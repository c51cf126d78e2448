"""The widget's script with this instance's settings in it, and a page that holds nothing but the chat."""

import html
import json
import re
from pathlib import Path

from connectors.channels.webchat.settings import WebchatSettings
from plugins import Page

_FOLDER = Path(__file__).with_name("widget")
_PARTS = [(_FOLDER / f"{part}.js").read_text() for part in ("words", "link", "chat", "view")]
_SCRIPT = "(() => {\n" + "\n".join(_PARTS) + "})();\n"
_STYLE = (_FOLDER / "widget.css").read_text()
_DARK = (
    "--bg: var(--chat-bg, #15191e); --fg: var(--chat-fg, #e6e9ec); --muted: #a3adb7; --desk: #2a313a; "
    "--edge: #6b7580; --warn: #4a3b00; color-scheme: dark;"
)
_PAGE = """<!doctype html>
<html lang="{language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><link rel="stylesheet" href="talk.css"><link rel="icon" href="/static/mark.svg"></head>
<body><main><h1>{title}</h1><div class="chat"><script src="widget.js" data-inline></script></div></main></body></html>
"""
_PAGE_STYLE = """
html, body, main { height: 100%; margin: 0; }
main { display: flex; flex-direction: column; }
h1 { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.chat { flex: 1; min-height: 0; }
body { background: #fff; }
@media (prefers-color-scheme: dark) { body { background: #15191e; } }
"""


def pages_of(instance: str, settings: WebchatSettings) -> tuple[Page, ...]:
    """`widget.js` for sites; `talk` to link to, where a chat goes on by its continuation token (`talk#chat=TOKEN`)."""
    page = _PAGE.format(language=settings.language or "en", title=html.escape(settings.title))
    return (
        Page(
            path="widget.js",
            body=_script(instance, settings).encode(),
            type="text/javascript; charset=utf-8",
            embed=True,
        ),
        Page(path="talk", body=page.encode()),
        Page(path="talk.css", body=_PAGE_STYLE.encode(), type="text/css; charset=utf-8"),
    )


def _script(instance: str, settings: WebchatSettings) -> str:
    config = {
        "instance": instance,
        "title": settings.title,
        "greeting": settings.greeting,
        "theme": settings.theme,
        "language": settings.language,
        "form": [
            {"name": each.name, "label": each.label, "type": each.type, "required": each.required}
            for each in settings.form
        ],
        "css": _style(settings.accent),
    }
    return _SCRIPT.replace('"CONFIG"', json.dumps(config), 1)


def _style(accent: str) -> str:
    """What stands on the accent is black or white, whichever reads better (WCAG 2.2, relative luminance)."""
    channels = [int(accent[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    light = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    on_accent = "#fff" if 1.05 / (light + 0.05) >= (light + 0.05) / 0.05 else "#000"
    filled = _STYLE.replace("DARK", _DARK).replace("ON_ACCENT", on_accent).replace("ACCENT", accent)
    return re.sub(r"\s*\n\s*", "", filled)
