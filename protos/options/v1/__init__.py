"""options.v1."""
