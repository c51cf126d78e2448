"""The chat that tests have."""

from plugins.testing.window import SITE

CHAT = f"""
[instance.help]
kind = "webchat"
secrets = ["file:chat.secret"]
origins = ["{SITE}"]
fallback_after = 120
max_file = 100000
[instance.help.users]
key = "file:jwt.key"
audience = "chat"
issuer = "acme"
"""
JWT_KEY = "k" * 40
