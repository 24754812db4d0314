"""Implement the commands of `python -m reprocnn`, one file per command."""
