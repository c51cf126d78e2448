"""One module or folder per channel; each is a plugin, found by standing here."""
