"""Auth: who is calling."""
