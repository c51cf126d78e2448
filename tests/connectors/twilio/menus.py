"""A menu with every kind of node, as it would stand in plugins.toml."""

from typing import Any

PARTS: dict[str, Any] = {
    "start": "outages",
    "languages": ["en-GB", "de-DE"],
    "by_number": {"+49": "de-DE"},
    "hours": {"desk": {"zone": "Europe/Berlin", "mon": ["08:00-17:00"], "sat": ["10:00-14:00"]}},
    "menu": {
        "outages": {"do": "notices", "next": "main"},
        "main": {
            "do": "choose",
            "say": {"en-GB": "Press 1 for help, 2 with a PIN, 9 for German.", "de-DE": "Eins: Hilfe. Zwei: PIN."},
            "options": [
                {"key": "1", "words": ["help", "support"], "to": "about", "label": "help"},
                {"key": "2", "to": "pin", "label": "pin"},
                {"key": "9", "to": "main", "language": "de-DE", "label": "german"},
            ],
            "otherwise": "bye",
            "tries": 2,
        },
        "about": {
            "do": "choose",
            "say": "VPN or mail?",
            "options": [
                {"key": "1", "words": ["vpn"], "to": "what", "label": "vpn", "set": {"service": "remote-access"}},
                {"key": "2", "words": ["mail"], "to": "open", "label": "mail"},
            ],
            "otherwise": "open",
        },
        "what": {"do": "ask", "say": "What happened?", "field": "problem", "next": "open", "otherwise": "open"},
        "pin": {"do": "pin", "say": "Enter your PIN.", "next": "open", "otherwise": "main"},
        "open": {"do": "hours", "calendar": "desk", "next": "agent", "otherwise": "voicemail"},
        "agent": {"do": "dial", "say": "One moment.", "number": "+15550003333", "next": "bye", "otherwise": "line"},
        "line": {"do": "queue", "queue": "desk", "next": "bye", "otherwise": "voicemail"},
        "voicemail": {"do": "record", "say": "Please leave a message.", "transcribe": True, "next": "bye"},
        "bye": {"do": "hangup", "say": "Goodbye."},
    },
}
