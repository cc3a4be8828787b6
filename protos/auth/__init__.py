"""auth: who is calling."""
