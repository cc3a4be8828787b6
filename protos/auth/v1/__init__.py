"""auth.v1."""
