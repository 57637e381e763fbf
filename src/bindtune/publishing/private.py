"""Remove folders of this machine from published files, and stop the upload if a file holds a secret."""

import re
from pathlib import Path, PurePosixPath
from typing import Any

# An absolute path, or one in a home folder, within a text: up to a blank, a quote or a separator.
_PATH = re.compile(r"(?:file:/*/|(?<![\w.:/~-])~?/)[^\s'\",;=]+")
_SECRETS = {
    "a token of the Hugging Face hub": re.compile(rb"\bhf_[A-Za-z0-9]{20,}"),
    "a private key": re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "an access key of AWS": re.compile(rb"\bAKIA[0-9A-Z]{16}\b"),
    "a token of GitHub": re.compile(rb"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{40,})"),
    "an API key": re.compile(rb"(?i)\b(?:api_key|apikey|password|wandb_key)['\"]?\s*[:=]\s*['\"]?[^\s'\"]{8,}"),
}


def without_folders(value: Any) -> Any:
    """Plain values, with the folders of absolute paths left out: `/home/me/run/a.fa` becomes `a.fa`.

    Examples:
        >>> without_folders({"a": "/home/me/a.fa", "b": ["train", "--out=/scratch/me/out"], "c": "data/c.fa"})
        {'a': 'a.fa', 'b': ['train', '--out=out'], 'c': 'data/c.fa'}
    """
    if isinstance(value, dict):
        return {key: without_folders(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(each) for each in value]
    if not isinstance(value, str):
        return value
    if value.startswith(("/", "~/")):
        return PurePosixPath(value).name
    return _PATH.sub(lambda match: PurePosixPath(match[0]).name, value)


def find_private(content: bytes, folders: tuple[Path, ...]) -> str | None:
    """The first secret in the content of a file, or the first of the folders; None where it may be published."""
    for what, pattern in _SECRETS.items():
        if pattern.search(content):
            return what
    for folder in folders:
        if len(folder.parts) > 2 and str(folder).encode() in content:
            return f"the path {folder}"
    return None
