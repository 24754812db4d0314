"""`python -m reprocnn`."""

from reprocnn.cli import main

main()
