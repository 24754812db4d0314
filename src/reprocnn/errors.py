"""Define the exception for errors that the user can fix."""


class UserError(Exception):
    """Error that the user can fix. It is shown as two lines, without a traceback.

    Args:
        problem: what was expected and what was found.
        fix: how to fix it.
    """

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.fix = fix

    def __str__(self) -> str:
        return f"error: {self.problem}\n  fix: {self.fix}"
