"""Chat: what was said, and what was built."""
