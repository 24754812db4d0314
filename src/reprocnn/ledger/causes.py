"""Find out why MLflow failed, and give one fix for each cause.

A cause is recognised by type, HTTP status or error number, along the chain of exceptions. MLflow, requests and
SQLAlchemy wrap the original error several times, and their messages put it last.
"""

import errno
import socket
import sqlite3
import ssl
from collections.abc import Iterator
from typing import NamedTuple

from reprocnn.ledger.access import denial, user_name

_MAX_LENGTH = 300
_PACKAGES = {
    "psycopg": "psycopg[binary]",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
    "azure": "azure-storage-blob azure-identity",
    "google": "google-cloud-storage",
}
"""Module name -> package that contains it, if they differ."""


class Cause(NamedTuple):
    """The cause of a failure and its fix."""

    text: str
    fix: str
    is_damage: bool = False
    """Whether the store itself is damaged and must be created again."""


def cause(error: BaseException) -> Cause:
    """Find the cause of an MLflow error and its fix."""
    chain = list(_chain(error))
    for link in reversed(chain):  # the innermost error first
        for find in (_connection_cause, _file_cause, _database_cause, _response_cause, _address_cause):
            if found := find(link):
                return found
    return Cause(_message(chain), "fix what the message names")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        # urllib3 and requests pass the original error as an argument, and may drop the exception chain.
        error = before or next((given for given in error.args if isinstance(given, BaseException)), None)


def _message(chain: list[BaseException]) -> str:
    """Return the message of the innermost error, except lookup and attribute errors, which don't help a user."""
    helpful = [link for link in chain if not isinstance(link, LookupError | AttributeError)] or chain
    text = " ".join(str(helpful[-1]).strip().partition("\n")[0].split()) or type(helpful[-1]).__name__
    if len(text) <= _MAX_LENGTH:
        return text
    sentences, _, _ = text[:_MAX_LENGTH].rpartition(". ")
    return f"{sentences}." if sentences else f"{text[:_MAX_LENGTH].rpartition(' ')[0]} ..."


def _connection_cause(error: BaseException) -> Cause | None:
    from requests import exceptions

    match error:
        case socket.gaierror():
            fix = "correct the host in MLFLOW_TRACKING_URI, or check the network"
            return Cause(f"unknown host name ({error.strerror})", fix)
        case ssl.SSLCertVerificationError():
            fix = "export MLFLOW_TRACKING_SERVER_CERT_PATH=FILE, the CA certificate that signed the server's"
            return Cause(f"the server's certificate is not trusted ({error.verify_message})", fix)
        case ssl.SSLError():
            return Cause(
                f"the server does not use TLS ({error.reason})", "write http:// in MLFLOW_TRACKING_URI, not https://"
            )
        case ConnectionRefusedError():
            return Cause("nothing listens there (connection refused)", "start the server, or correct the port")
        case ConnectionResetError() | ConnectionAbortedError() | BrokenPipeError():
            fix = "check the server's log; if it uses TLS, write https:// in MLFLOW_TRACKING_URI"
            return Cause(f"the server closed the connection ({error})", fix)
        case exceptions.ProxyError():
            return Cause("the proxy refused the connection", "correct HTTPS_PROXY and HTTP_PROXY, or set NO_PROXY")
        case TimeoutError() | exceptions.Timeout():
            return Cause(
                "no answer in time (timed out)", "check whether the server is overloaded or a firewall blocks it"
            )
        case OSError(errno=errno.ENETUNREACH | errno.EHOSTUNREACH):
            return Cause(f"the host can't be reached ({error.strerror})", "check the network, or correct the host")
    return None


def _file_cause(error: BaseException) -> Cause | None:
    """Explain an error of a file or folder of the store, or of a Python package that the store needs."""
    match error:
        case ModuleNotFoundError(name=str(name)):
            module = name.partition(".")[0]
            package = _PACKAGES.get(module, module)
            return Cause(
                f"this store needs the package {module}, which is not installed", f"uv pip install '{package}'"
            )
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return _disk_full(error)
        case OSError(errno=errno.EACCES | errno.EPERM | errno.EROFS):
            return Cause(f"{error.filename} isn't writable ({error.strerror})", "give this user write permission there")
        case OSError(errno=errno.ENOTDIR | errno.ENOENT | errno.EEXIST | errno.EISDIR):
            return Cause(f"{error.filename}: {error.strerror}", "correct the path of the store, or create the folder")
    return None


def _disk_full(error: BaseException) -> Cause:
    return Cause(f"the disk is full ({error})", "free disk space")


def _database_cause(error: BaseException) -> Cause | None:
    """Explain an error of a SQLite file, or a database schema of another MLflow version."""
    if isinstance(error, sqlite3.Error):
        # The low byte is the primary error code; the other bytes have details.
        match getattr(error, "sqlite_errorcode", 0) & 0xFF:
            case sqlite3.SQLITE_FULL:
                return _disk_full(error)
            case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
                return Cause(
                    f"the file isn't writable ({error})", "give this user write permission for it and its folder"
                )
            case sqlite3.SQLITE_CANTOPEN:
                fix = "create its folder, and give this user write permission there; write a % in the path as %25"
                return Cause(f"the file can't be opened ({error})", fix)
            case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
                return Cause(f"the file is damaged ({error})", "restore it from a backup", is_damage=True)
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return Cause(f"another process is writing to the file ({error})", "wait until it has finished")
    if "out-of-date database schema" in str(error):  # an MlflowException like any other
        return Cause("its database schema is of another MLflow version", "mlflow db upgrade")
    return None


def _response_cause(error: BaseException) -> Cause | None:
    """Explain an error response of a server."""
    from mlflow.exceptions import MlflowException, get_error_code
    from mlflow.protos.databricks_pb2 import ErrorCode
    from requests import exceptions

    if isinstance(error, exceptions.RetryError):
        text = str(error.args[0].reason) if error.args and hasattr(error.args[0], "reason") else str(error)
        return Cause(f"the server returns errors ({text})", "check the server's log")
    if isinstance(error, exceptions.HTTPError) and error.response is not None:
        code = ErrorCode.Name(get_error_code(error.response.status_code))
    elif isinstance(error, MlflowException):
        code = error.error_code
    else:
        return None
    match code:
        case "UNAUTHENTICATED" | "CUSTOMER_UNAUTHORIZED":
            return _login_cause()
        case "PERMISSION_DENIED":
            return _denial_cause(error)
        case "ENDPOINT_NOT_FOUND":
            return _not_mlflow("404")
        case "INTERNAL_ERROR" if str(error).startswith("API request to endpoint"):  # an answer that is not from MLflow
            return _not_mlflow(_message([error]))
    return None


def _login_cause() -> Cause:
    if who := user_name():
        fix = "correct MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        return Cause(f"the server does not know {who}, or the password is wrong (401)", fix)
    fix = "export MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
    return Cause("the server requires a login (401)", fix)


def _denial_cause(error: Exception) -> Cause:
    request = getattr(error, "request", None)  # an error of requests has it
    text, fix = denial(_message([error]), getattr(request, "method", ""))
    return Cause(f"the server denies permission (403): {text}", fix)


def _not_mlflow(answer: str) -> Cause:
    return Cause(
        f"the answer is not from an MLflow server ({answer})",
        "correct the host, the port and the path of MLFLOW_TRACKING_URI",
    )


def _address_cause(error: BaseException) -> Cause | None:
    """Explain a tracking URI that MLflow can't use."""
    from mlflow.exceptions import InvalidUrlException
    from mlflow.tracking.registry import UnsupportedModelRegistryStoreURIException
    from requests import exceptions

    fix = "write MLFLOW_TRACKING_URI as http://HOST:PORT or https://HOST, or as sqlite:///FILE"
    match error:
        case UnsupportedModelRegistryStoreURIException():
            return Cause("MLflow does not support this kind of URI", fix)
        case InvalidUrlException() | exceptions.InvalidURL() | exceptions.InvalidSchema() | exceptions.MissingSchema():
            return Cause(_message([error]), fix)
    if "MLFLOW_ALLOW_FILE_STORE" in str(error):
        again = "export MLFLOW_ALLOW_FILE_STORE=true; or, for a server, write http:// before its name"
        return Cause("it is a folder, which MLflow no longer supports by default", again)
    return None
