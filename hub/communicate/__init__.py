"""What the hub says to users: through which channel, in which words."""
