"""The one exception for what a user can put right."""


class UserError(Exception):
    """A mistake that the user can put right; shown in two lines, without a traceback.

    Args:
        problem: what was expected and what was found.
        fix: what to do about it.
    """

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.fix = fix

    def __str__(self) -> str:
        return f"error: {self.problem}\n  fix: {self.fix}"
