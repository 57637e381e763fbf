"""A stand-in for the hub on 127.0.0.1: repositories, branches, large and regular uploads, commits and downloads.

It implements what huggingface_hub asks of the hub when a repository is made, read, committed to and downloaded, with
the hashes of git and LFS. Files of more than 10 kB or with binary names go to large storage, as they do there.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_" + "standin" * 5
_LARGE = (".safetensors", ".bin", ".pt", ".parquet")


@dataclass
class Repository:
    private: bool
    branches: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"main": {".gitattributes": b"*.bin lfs\n"}})
    messages: list[str] = field(default_factory=list)


@dataclass
class Hub:
    """What the server holds, and how it should misbehave."""

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    """SHA-256 of each large file that arrived, in order."""
    refuse: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Status and message for requests with a word in their path."""
    broken_after: int | None = None
    """Large files after which connections are dropped."""

    def files(self, repo: str, branch: str = "main") -> dict[str, bytes]:
        """Content by path, without .gitattributes."""
        return {path: data for path, data in self.repositories[repo].branches[branch].items() if path[0] != "."}


def blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def is_large(path: str, size: int) -> bool:
    return path.endswith(_LARGE) or size > 10_000


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *_: Any) -> None:
        return

    def reply(self, status: int, content: Any = None, **headers: str) -> None:
        data = content if isinstance(content, bytes) else json.dumps({} if content is None else content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().strip(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def answer(self) -> None:  # noqa: PLR0911 (one answer a kind of request)
        data = self.body()
        path = unquote(urlsplit(self.path).path)
        for word, (status, message) in self.hub.refuse.items():
            if word in path:
                return self.reply(status, {"error": message}, X_Error_Message=message)
        words = path.strip("/").split("/")
        if words[0] != "large" and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.reply(401, {"error": "Invalid username or password."})
        if words[0] == "large":
            return self.store(words[1], data)
        if path == "/api/repos/create":
            return self.create(json.loads(data))
        if path == "/api/validate-yaml":
            return self.reply(200, {"errors": [], "warnings": []})
        if words[:2] == ["api", "models"]:
            return self.model("/".join(words[2:4]), words[4:], data)
        if path.endswith(".git/info/lfs/objects/batch"):
            return self.batch(json.loads(data))
        if words[2:3] == ["resolve"]:
            return self.resolve("/".join(words[:2]), words[3], "/".join(words[4:]))
        return self.reply(404, {"error": path})

    do_GET = do_POST = do_PUT = do_HEAD = answer  # noqa: N815

    def create(self, asked: dict[str, Any]) -> None:
        name = f"{asked.get('organization') or 'me'}/{asked['name']}"
        there = name in self.hub.repositories
        if not there:
            self.hub.repositories[name] = Repository(asked.get("visibility") == "private")
        return self.reply(409 if there else 200, {"url": f"{self.hub.url}/{name}", "error": "You already created it"})

    def model(self, name: str, words: list[str], data: bytes) -> None:  # noqa: PLR0911
        repository = self.hub.repositories.get(name)
        if repository is None:
            return self.reply(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
        what, branch = (words[0], words[1]) if words else ("revision", "main")
        if what == "branch":
            there = branch in repository.branches
            repository.branches.setdefault(branch, dict(repository.branches["main"]))
            return self.reply(409 if there else 200)
        if branch == self.sha(repository, "main"):
            branch = "main"
        if branch not in repository.branches:
            return self.reply(404, {"error": "Revision not found"}, X_Error_Code="RevisionNotFound")
        files = repository.branches[branch]
        if what == "revision":
            siblings = [{"rfilename": path} for path in files]
            about = {"id": name, "sha": self.sha(repository, branch), "private": repository.private}
            return self.reply(200, {**about, "siblings": siblings, "tags": [], "downloads": 0, "likes": 0})
        if what == "tree":
            return self.reply(200, [self.entry(path, content) for path, content in files.items()])
        if what == "preupload":
            asked = json.loads(data)["files"]
            modes = {each["path"]: "lfs" if is_large(each["path"], each["size"]) else "regular" for each in asked}
            return self.reply(
                200,
                {"files": [{"path": path, "uploadMode": mode, "shouldIgnore": False} for path, mode in modes.items()]},
            )
        return self.commit(name, branch, data)

    def sha(self, repository: Repository, branch: str) -> str:
        content = json.dumps({path: blob(data) for path, data in sorted(repository.branches[branch].items())})
        return hashlib.sha1(content.encode(), usedforsecurity=False).hexdigest()

    def entry(self, path: str, content: bytes) -> dict[str, Any]:
        entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": blob(content)}
        if is_large(path, len(content)):
            digest = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 130}
            entry["oid"] = blob(f"oid sha256:{digest}".encode())
        return entry

    def batch(self, asked: dict[str, Any]) -> None:
        objects = []
        for each in asked["objects"]:
            answer = {"oid": each["oid"], "size": each["size"]}
            if each["oid"] not in self.hub.large:
                answer["actions"] = {"upload": {"href": f"{self.hub.url}/large/{each['oid']}"}}
            objects.append(answer)
        self.reply(200, {"transfer": "basic", "objects": objects})

    def store(self, digest: str, data: bytes) -> None:
        if self.hub.broken_after is not None and len(self.hub.sent) >= self.hub.broken_after:
            return self.reply(400, {"error": "the line went dead"})
        if hashlib.sha256(data).hexdigest() != digest:
            return self.reply(400, {"error": "damaged on its way"})
        self.hub.large[digest] = data
        self.hub.sent.append(digest)
        return self.reply(200)

    def commit(self, name: str, branch: str, data: bytes) -> None:
        repository = self.hub.repositories[name]
        files = dict(repository.branches[branch])
        for line in map(json.loads, data.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                repository.messages.append(value["summary"])
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            else:
                files[value["path"]] = self.hub.large[value["oid"]]
        repository.branches[branch] = files
        sha = self.sha(repository, branch)
        self.reply(200, {"commitUrl": f"{self.hub.url}/{name}/commit/{sha}", "commitOid": sha})

    def resolve(self, name: str, revision: str, path: str) -> None:
        repository = self.hub.repositories[name]
        branch = revision if revision in repository.branches else "main"
        content = repository.branches[branch].get(path)
        if content is None:
            return self.reply(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound")
        etag = self.entry(path, content).get("lfs", {}).get("oid") or blob(content)
        return self.reply(200, content, ETag=f'"{etag}"', X_Repo_Commit=self.sha(repository, branch))


@contextmanager
def running_hub() -> Iterator[Hub]:
    """A hub that listens on a free port of this machine."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield hub
        server.shutdown()
        thread.join()
