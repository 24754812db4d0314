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

_LONGEST = 300
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
    """Find the cause of an error of MLflow and its fix."""
    chain = list(_chain(error))
    for link in reversed(chain):  # the original error first
        for look in (_of_connection, _of_file, _of_database, _of_answer, _of_address):
            if found := look(link):
                return found
    return Cause(_reason(chain), "fix what the message names")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        # urllib3 and requests pass the reason as an argument, and may drop the exception chain.
        error = before or next((given for given in error.args if isinstance(given, BaseException)), None)


def _reason(chain: list[BaseException]) -> str:
    """Return the message of the innermost error, except lookup and attribute errors, which don't help a user."""
    told = [link for link in chain if not isinstance(link, LookupError | AttributeError)] or chain
    text = " ".join(str(told[-1]).strip().partition("\n")[0].split()) or type(told[-1]).__name__
    if len(text) <= _LONGEST:
        return text
    sentences, _, _ = text[:_LONGEST].rpartition(". ")
    return f"{sentences}." if sentences else f"{text[:_LONGEST].rpartition(' ')[0]} ..."


def _of_connection(error: BaseException) -> Cause | None:
    from requests import exceptions

    match error:
        case socket.gaierror():
            fix = "correct the host in MLFLOW_TRACKING_URI, or check the network"
            return Cause(f"the host name is unknown ({error.strerror})", fix)
        case ssl.SSLCertVerificationError():
            fix = "export MLFLOW_TRACKING_SERVER_CERT_PATH=FILE, the certificate of the authority that signed it"
            return Cause(f"its certificate is not trusted ({error.verify_message})", fix)
        case ssl.SSLError():
            return Cause(f"it does not use TLS ({error.reason})", "write http:// in MLFLOW_TRACKING_URI, not https://")
        case ConnectionRefusedError():
            return Cause("nothing listens there (connection refused)", "start the server, or correct the port")
        case ConnectionResetError() | ConnectionAbortedError() | BrokenPipeError():
            fix = "see the log of the server; if it uses TLS, write https:// in MLFLOW_TRACKING_URI"
            return Cause(f"it closed the connection ({error})", fix)
        case exceptions.ProxyError():
            return Cause("the proxy does not let it through", "correct HTTPS_PROXY and HTTP_PROXY, or set NO_PROXY")
        case TimeoutError() | exceptions.Timeout():
            return Cause("no answer in time (timed out)", "check whether the server is busy and the network reaches it")
        case OSError(errno=errno.ENETUNREACH | errno.EHOSTUNREACH):
            return Cause(f"it can't be reached ({error.strerror})", "check the network, or correct the host")
    return None


def _of_file(error: BaseException) -> Cause | None:
    """Explain an error of a file or folder of the store, or of a Python package that the store needs."""
    match error:
        case ModuleNotFoundError(name=str(name)):
            module = name.partition(".")[0]
            package = _PACKAGES.get(module, module)
            return Cause(
                f"this store needs the package {module}, which is not installed", f"uv pip install '{package}'"
            )
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return _full(error)
        case OSError(errno=errno.EACCES | errno.EPERM | errno.EROFS):
            return Cause(
                f"{error.filename} can't be written ({error.strerror})", "give this user write permission there"
            )
        case OSError(errno=errno.ENOTDIR | errno.ENOENT | errno.EEXIST | errno.EISDIR):
            return Cause(f"{error.filename}: {error.strerror}", "correct the path of the store, or create the folder")
    return None


def _full(error: BaseException) -> Cause:
    return Cause(f"the disk is full ({error})", "free disk space")


def _of_database(error: BaseException) -> Cause | None:
    """Explain an error of a SQLite file, or a database schema of another MLflow version."""
    if isinstance(error, sqlite3.Error):
        # The low byte is the primary error code; the other bytes have details.
        match getattr(error, "sqlite_errorcode", 0) & 0xFF:
            case sqlite3.SQLITE_FULL:
                return _full(error)
            case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
                return Cause(
                    f"the file can't be written ({error})", "give this user write permission for it and its folder"
                )
            case sqlite3.SQLITE_CANTOPEN:
                fix = "create its folder with write permission for this user; write a % in the path as %25"
                return Cause(f"the file can't be opened ({error})", fix)
            case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
                return Cause(f"the file is damaged ({error})", "restore a backup", is_damage=True)
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return Cause(f"another process writes to the file ({error})", "wait for it to end")
    if "out-of-date database schema" in str(error):  # an MlflowException like any other
        return Cause("it was made by another version of MLflow", "mlflow db upgrade")
    return None


def _of_answer(error: BaseException) -> Cause | None:
    """Explain an error response of a server."""
    from mlflow.exceptions import MlflowException, get_error_code
    from mlflow.protos.databricks_pb2 import ErrorCode
    from requests import exceptions

    if isinstance(error, exceptions.RetryError):
        text = str(error.args[0].reason) if error.args and hasattr(error.args[0], "reason") else str(error)
        return Cause(f"the server fails ({text})", "see the log of the server")
    if isinstance(error, exceptions.HTTPError) and error.response is not None:
        code = ErrorCode.Name(get_error_code(error.response.status_code))
    elif isinstance(error, MlflowException):
        code = error.error_code
    else:
        return None
    match code:
        case "UNAUTHENTICATED" | "CUSTOMER_UNAUTHORIZED":
            fix = "export MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
            return Cause("the server asks for a login (401)", fix)
        case "PERMISSION_DENIED":
            fix = "ask the administrator for write permission, or log in as another user"
            return Cause(f"the server refuses (403): {_reason([error])}", fix)
        case "ENDPOINT_NOT_FOUND":
            return _no_server("404")
        case "INTERNAL_ERROR" if str(error).startswith("API request to endpoint"):  # an answer, and not MLflow's
            return _no_server(_reason([error]))
    return None


def _no_server(answer: str) -> Cause:
    return Cause(
        f"the answer there isn't an MLflow server's ({answer})",
        "correct the host, the port and the path of MLFLOW_TRACKING_URI",
    )


def _of_address(error: BaseException) -> Cause | None:
    """Explain a tracking URI that MLflow can't use."""
    from mlflow.exceptions import InvalidUrlException
    from mlflow.tracking.registry import UnsupportedModelRegistryStoreURIException
    from requests import exceptions

    fix = "write MLFLOW_TRACKING_URI as http://HOST:PORT or https://HOST, or as sqlite:///FILE"
    match error:
        case UnsupportedModelRegistryStoreURIException():
            return Cause("MLflow knows no store of this kind", fix)
        case InvalidUrlException() | exceptions.InvalidURL() | exceptions.InvalidSchema() | exceptions.MissingSchema():
            return Cause(_reason([error]), fix)
    if "MLFLOW_ALLOW_FILE_STORE" in str(error):
        again = "export MLFLOW_ALLOW_FILE_STORE=true; for a server, write http:// before its name"
        return Cause("it is a folder, which MLflow no longer accepts", again)
    return None
