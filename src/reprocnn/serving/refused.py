"""Why a request is refused."""

from collections.abc import Mapping

from fastapi.responses import JSONResponse

_MLFLOW_CODES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}
"""Status -> the code that MLflow's server has for it; for others, BAD_REQUEST."""


class RefusedError(Exception):
    """A request that can't be answered.

    Args:
        status: the status of HTTP.
        cause: what was expected and what was found.
        fix: what to do about it.
        headers: further headers of the answer.
    """

    def __init__(self, status: int, cause: str, fix: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(cause)
        self.status, self.cause, self.fix, self.headers = status, cause, fix, headers

    def response(self, path: str) -> JSONResponse:
        """Return the answer; at /invocations it has the keys of MLflow's server."""
        if path == "/invocations":
            code = _MLFLOW_CODES.get(self.status, "BAD_REQUEST")
            content = {"error_code": code, "message": f"{self.cause}; {self.fix}"}
        else:
            content = {"error": self.cause, "fix": self.fix}
        return JSONResponse(content, self.status, self.headers)
