"""chat: conversations and what is in them."""
