"""Mask secrets in text that is uploaded or printed.

A secret is recognised by a name beside it, by its form, by its place in a URL, or because an environment variable of
this process has it. Any other text can't be told from a secret; docs/mlflow.md says what that means.
"""

import os
import re
from collections.abc import Iterator
from urllib.parse import quote, unquote

_NAMES = r"password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|account[_-]?key|private[_-]?key|credential"
# No pattern begins with a repetition without a limit: it would be slow on a long line, as of data in base64.
_NAMED = (
    # The rest of a line after a name for a secret: `name = ...`, `name: ...`, `--name ...`
    re.compile(rf"(?i)((?:{_NAMES}|authorization)[\w.-]*[\"']?[ \t]*[:=][ \t]*)(?!\"\"\"|''').+"),
    re.compile(rf"(?i)(--[\w-]{{0,40}}(?:{_NAMES})[\w-]*\s+).+"),
    re.compile(rf"(?i)(<[\w:.-]{{0,40}}(?:{_NAMES})[\w:.-]*>)[^<\n]+"),  # XML
    re.compile(r"(?im)(^[+\- ]?\s*(?:machine\s+\S+\s+)?(?:login\s+\S+\s+)?password\s+)\S+$"),  # ~/.netrc
    re.compile(r"(\s(?:-u|--user)[ =]+[^\s:]+:)\S+"),  # curl
)
_BLOCKS = (
    # Lines after a name that are indented more than its own: of YAML, or in brackets. A diff has a mark before each.
    re.compile(
        rf"(?im)(^[+\- ]?+([ \t]*+)[\w.\"'-]*(?:{_NAMES})[\w.-]*[\"']?[ \t]*[:=][ \t]*"
        r"(?:[|>][\d+-]*|[\[({\\])?[ \t]*\n)"
        r"((?:[+\- ]?\2[ \t]+\S.*(?:\n|\Z))+)"
    ),
    re.compile(rf"(?i)((?:{_NAMES})[\w.-]*[\"']?[ \t]*[:=][ \t]*[bfru]*(\"\"\"|'''))([\s\S]*?)(?=\2|\Z)"),
    re.compile(r"(?m)(-----BEGIN ([A-Z ]*)PRIVATE KEY-----)([\s\S]*?)(?=^[+\- ]?-----END|^diff --git|^@@|\Z)"),
)
_URLS = (
    re.compile(r"(\b\w+://)[^\s/]+(?=@)"),
    # A password with an unencoded `/`, as databases allow it; digits before the `/` are a port.
    re.compile(r"(\b\w+://)[^\s/:@]+:(?!\d+/)[^\s@]+(?=@)"),
    re.compile(rf"(?i)([?&;][\w.%-]{{0,40}}(?:{_NAMES}|sig|signature)[\w.-]*=)[^\s&;#\"'`]+"),
)
_FORMS = (
    re.compile(r"(?i)(\bbearer\s+)\S+"),
    re.compile(r"(?i)(\bbasic\s+)[a-z0-9+/]{16,}=*"),
    # AWS, GitHub, GitLab, Slack, OpenAI, Hugging Face, JSON web tokens
    re.compile(r"()\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    re.compile(r"()\b(?:gh[pousr]_|github_pat_|glpat-|xox[abp]-|sk-|hf_|eyJ)[\w.-]{16,}"),
)
_LINE = re.compile(r"(?m)^([+\- ]?+[ \t]*+)\S.*$")
_PASSWORD = re.compile(r"\b\w+://[^\s/:@]*:(\S+)@")
_MIN_LENGTH = 8
"""Shorter values of environment variables are not looked for: they may be words."""


def masked(text: str) -> str:
    """Return the text with everything that looks like a secret replaced by ***. The number of lines stays."""
    for pattern in _BLOCKS:
        text = pattern.sub(lambda found: found[1] + _LINE.sub(r"\1***", found[3]), text)
    return masked_message(_replace(_NAMED, text))


def masked_message(text: str) -> str:
    """Return a message with secrets replaced by ***, but not text after a name, as in `export TOKEN=...`."""
    for secret in sorted(_of_environment(), key=len, reverse=True):
        text = text.replace(secret, "***")
    return _replace((*_URLS, *_FORMS), text)


def _replace(patterns: tuple[re.Pattern[str], ...], text: str) -> str:
    for pattern in patterns:
        text = pattern.sub(r"\1***", text)
    return text


def _of_environment() -> set[str]:
    """Return the secrets in environment variables, plain and as a URL has them."""
    long = {secret for secret in _values() if len(secret) >= _MIN_LENGTH}
    return long | {quote(secret, safe=safe) for secret in long for safe in ("", "/")}


def _values() -> Iterator[str]:
    for name, value in os.environ.items():
        # PWD is a folder; other variables name the file of a secret. Text that is too long for a path is none.
        if re.search(_NAMES, name, re.IGNORECASE) and not os.path.exists(value):  # noqa: PTH110
            yield value.strip()
        if found := _PASSWORD.search(value):
            yield unquote(found[1])
