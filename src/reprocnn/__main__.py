"""Run the command line of `python -m reprocnn`."""

from reprocnn.cli import main

main()
