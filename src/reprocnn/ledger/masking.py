"""Mask secrets in texts that are shown or uploaded."""

import re

_NAMES = r"password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|account[_-]?key|private[_-]?key|credential"
_SECRETS = (
    # The name of a secret, and the rest of its line: `name = ...`, `name: ...`, `--name ...`
    re.compile(rf"(?i)([\w.-]*(?:{_NAMES}|authorization)[\w.-]*[\"']?\s*[:=]\s*).+"),
    re.compile(rf"(?i)(--[\w-]*(?:{_NAMES})[\w-]*\s+).+"),
    re.compile(r"(?i)(\bbearer\s+)\S+"),
    # Values that are secrets wherever they stand: AWS, GitHub, GitLab, Slack, OpenAI, Hugging Face, JSON web tokens
    re.compile(r"()\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    re.compile(r"()\b(?:gh[pousr]_|github_pat_|glpat-|xox[abp]-|sk-|hf_|eyJ)[\w.-]{16,}"),
    re.compile(r"(\w+://)[^\s/]+(?=@)"),
    re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)[\s\S]*?(?=-----END|\Z)"),
)


def masked(text: str) -> str:
    """Replace what looks like a secret by ***."""
    for pattern in _SECRETS:
        text = pattern.sub(r"\1***", text)
    return text
