"""Wake-ups between the parts of the hub. Nothing here holds what can't be rebuilt from the store (R12)."""
