"""What is wrong with a checkout, its stores and the machine."""


def doctor() -> None:
    """Print a line for each check, with its fix."""
