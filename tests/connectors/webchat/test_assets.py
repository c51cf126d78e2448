"""The script as sites get it: settings in it, and colours that can be read."""

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from connectors.channels.webchat.assets import pages_of
from connectors.channels.webchat.settings import WebchatSettings
from plugins import Secret


def pages(**more):
    return {page.path: page for page in pages_of("help", WebchatSettings(secrets=(Secret("canary"),), **more))}


def config(**more):
    script = pages(**more)["widget.js"].body.decode()
    return json.loads(re.search(r"const CONFIG = (\{.*\});", script)[1])


def light(colour):
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


@given(st.from_regex("^#[0-9a-f]{6}$", fullmatch=True))
def test_text_on_every_accent_can_be_read(accent):
    """WCAG 2.2 AA: 4.5 to 1."""
    css = config(accent=accent)["css"]
    on_accent = re.search(r"--chat-on-accent, #(fff|000)\)", css)[1]
    lighter, darker = sorted((light(accent), light("#" + on_accent * 2)), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def test_settings_stand_in_the_script_whatever_they_hold():
    title = "</script>\"'\\\u2028<b>CONFIG ACCENT DARK"
    assert config(title=title)["title"] == title
    assert "<b>" not in pages(title=title)["talk"].body.decode()


def test_only_the_script_may_be_loaded_elsewhere_and_holds_no_secret():
    found = pages()
    assert [path for path, page in found.items() if page.embed] == ["widget.js"]
    assert not any(b"canary" in page.body for page in found.values())
