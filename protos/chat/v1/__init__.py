"""chat.v1."""
