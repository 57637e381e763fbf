"""`bindtune push`: upload a run, a checkpoint or an exported model to a hub, in one commit.

A commit is complete or missing. After an interruption, uploaded files are not sent again.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, constants, get_token
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from bindtune import __version__
from bindtune.errors import ConfigError, library_text
from bindtune.publishing.bundle import Bundle, collect, measure

# An upload ends with the error of the HTTP library (which one depends on the version of huggingface_hub), with OSError,
# or with RuntimeError, which names the file.
_ENDS: tuple[type[Exception], ...] = (*HfHubHTTPError.__bases__, RuntimeError)
_SHOWN = 3


def push(
    source: Path,
    repo: str,
    *,
    private: bool,
    revision: str | None,
    commit_message: str | None,
    base_model: str | None,
    overwrite: bool,
    dry_run: bool,
    notify: Callable[[str], None],
) -> None:
    """Upload what `collect` gathers.

    Args:
        source: what is published.
        repo: name of the repository, OWNER/NAME or NAME; made where it is missing.
        private: whether a new repository is private.
        revision: branch; made where it is missing. The main one by default.
        commit_message: of the commit.
        base_model: see `collect`.
        overwrite: replace files of the repository that differ, and leave its further ones.
        dry_run: say what would be uploaded, and stop.
        notify: gets each line.

    Raises:
        ConfigError: nothing can be published, or the hub does not take it.
    """
    with _hub_errors(repo):
        validate_repo_id(repo)
    bundle = collect(source, repo=repo, base_model=base_model)
    _announce(bundle, notify)
    if dry_run:
        notify("nothing was uploaded (--dry-run)")
        return
    if constants.HF_HUB_OFFLINE:
        raise ConfigError("the hub is switched off: unset HF_HUB_OFFLINE")
    if get_token() is None:
        raise ConfigError("no token of the hub: log in with `hf auth login`, or set HF_TOKEN to one that may write")
    with _hub_errors(repo):
        _upload(HfApi(library_name="bindtune", library_version=__version__), bundle, repo, private=private,
                revision=revision, message=commit_message or f"Upload {bundle.kind}", overwrite=overwrite,
                notify=notify)  # fmt: skip


def _announce(bundle: Bundle, notify: Callable[[str], None]) -> None:
    rows = bundle.rows()
    notify(f"{bundle.kind}: {len(rows)} files, {sum(size for _, size, _ in rows):,} bytes")
    for name, size, digest in rows:
        notify(f"  {size:>13,}  {digest[:12]}  {name}")
    if bundle.left:
        notify(f"{len(bundle.left)} files stay here: {_some(bundle.left)}")
    if bundle.base is None and bundle.kind != "an exported model":
        notify("the model that it began with is known by a folder's name only: --base-model says its name on the hub")


def _upload(
    api: HfApi,
    bundle: Bundle,
    repo: str,
    *,
    private: bool,
    revision: str | None,
    message: str,
    overwrite: bool,
    notify: Callable[[str], None],
) -> None:
    repo = api.create_repo(repo, private=private, exist_ok=True).repo_id
    if private and not api.model_info(repo).private:
        raise ConfigError(f"{repo} is there already and is public: make it private first, or leave out --private")
    if revision is not None:
        api.create_branch(repo, branch=revision, exist_ok=True)
    stored = [
        each for each in api.list_repo_tree(repo, recursive=True, revision=revision) if isinstance(each, RepoFile)
    ]
    equal = {each.path for each in stored if each.path in bundle.files and _is_equal(each, bundle.files[each.path])}
    if equal == bundle.files.keys():
        notify(f"{repo} holds all of it already: nothing was uploaded")
        return
    foreign = [each.path for each in stored if each.path not in equal and each.path != ".gitattributes"]
    if foreign and not overwrite:
        raise ConfigError(
            f"{repo} holds something else ({_some(foreign)}): choose another name or --revision, or --overwrite it"
        )
    operations = [
        CommitOperationAdd(path_in_repo=name, path_or_fileobj=content)
        for name, content in sorted(bundle.files.items())
        if name not in equal
    ]
    commit = api.create_commit(repo, operations, commit_message=message, revision=revision)
    notify(f"{len(operations)} files uploaded: {commit.commit_url}")


def _is_equal(stored: RepoFile, content: Path | bytes) -> bool:
    """Whether a file of the repository has this content; the hub hashes large files by SHA-256, others as git does."""
    size, digest = measure(content)
    if stored.lfs is not None:
        return (stored.lfs.size, stored.lfs.sha256) == (size, digest)
    if stored.size != size:
        return False
    whole = content if isinstance(content, bytes) else content.read_bytes()
    return stored.blob_id == hashlib.sha1(b"blob %d\0" % size + whole, usedforsecurity=False).hexdigest()


@contextmanager
def _hub_errors(repo: str) -> Iterator[None]:
    """Report a refusal of the hub, or a fault on the way to it, in one line.

    Raises:
        ConfigError: the hub refused, or there was a fault.
    """
    try:
        yield
    except HfHubHTTPError as error:
        raise ConfigError(_refusal(repo, error)) from error
    except OfflineModeIsEnabled as error:
        raise ConfigError("the hub is switched off: unset HF_HUB_OFFLINE") from error
    except _ENDS as error:
        cause = error.__cause__
        if isinstance(cause, HfHubHTTPError):
            raise ConfigError(_refusal(repo, cause)) from error
        reason = library_text(cause or error, 300)
        raise ConfigError(
            f"{constants.ENDPOINT}: {reason}; the same command goes on, and sends nothing twice"
        ) from error
    except ValueError as error:
        raise ConfigError(f"{repo}: {library_text(error, 300)}") from error


def _refusal(repo: str, error: HfHubHTTPError) -> str:
    status, reason = error.response.status_code, library_text(error.server_message or error, 300)
    if status == 401:
        return (
            f"{repo}: the hub does not accept the token (401): log in again with `hf auth login`, or look at HF_TOKEN"
        )
    if status == 403:
        return f"{repo}: the token may not write there (403): {reason}"
    if status >= 500 or status == 429:
        return f"{repo}: the hub is busy or out of order ({status}): the same command goes on, and sends nothing twice"
    return f"{repo}: the hub refuses it ({status}): {reason}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"
