"""Mask secrets in text that is uploaded or printed."""

import re

_NAMES = r"password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|account[_-]?key|private[_-]?key|credential"
_SECRETS = (
    # The rest of a line after a name for a secret: `name = ...`, `name: ...`, `--name ...`
    re.compile(rf"(?i)([\w.-]*(?:{_NAMES}|authorization)[\w.-]*[\"']?\s*[:=]\s*).+"),
    re.compile(rf"(?i)(--[\w-]*(?:{_NAMES})[\w-]*\s+).+"),
    re.compile(r"(?i)(\bbearer\s+)\S+"),
    # Values that look like secrets themselves: AWS, GitHub, GitLab, Slack, OpenAI, Hugging Face, JSON web tokens
    re.compile(r"()\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    re.compile(r"()\b(?:gh[pousr]_|github_pat_|glpat-|xox[abp]-|sk-|hf_|eyJ)[\w.-]{16,}"),
    re.compile(r"(\w+://)[^\s/]+(?=@)"),
    re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)[\s\S]*?(?=-----END|\Z)"),
)


def masked(text: str) -> str:
    """Return the text with everything that looks like a secret replaced by ***."""
    for pattern in _SECRETS:
        text = pattern.sub(r"\1***", text)
    return text
