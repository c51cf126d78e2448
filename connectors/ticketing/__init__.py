"""One module per ticketing tool; each is a plugin, found by standing here."""
