"""The developers' commands: `python -m tools COMMAND`, or `make COMMAND`."""
