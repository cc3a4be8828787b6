"""Requests into commands, a module a service; all that is wrong with a request is told at once."""
