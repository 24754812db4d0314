"""The commands of `python -m reprocnn`, one file each."""
