"""Downloads from each hub: the hubs' real clients, and an HTTP server on this machine instead of the hub."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlparse

import pytest

from support.commands import swiftkit
from swiftkit.models import hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """Those parts of both hubs' HTTP interfaces that their clients use to list and download a model."""

    protocol_version = "HTTP/1.1"
    repositories: ClassVar[dict[str, Path]] = {}
    requests: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        url = urlparse(self.path)
        path, query = unquote(url.path), {key: values[0] for key, values in parse_qs(url.query).items()}
        self.requests.append(path + ("?" + query["FilePath"] if "FilePath" in query else ""))
        for name, folder in self.repositories.items():
            files = {str(p.relative_to(folder)): p for p in sorted(folder.rglob("*")) if p.is_file()}
            if path.startswith(f"/api/models/{name}/tree/"):  # Hugging Face: files with their sizes
                sizes = {file: place.stat().st_size for file, place in files.items()}
                return self.send_json([{"type": "file", "path": f, "size": s, "oid": COMMIT} for f, s in sizes.items()])
            if path.startswith(f"/api/models/{name}"):  # Hugging Face: the repository
                return self.send_json({"id": name, "sha": COMMIT, "siblings": [{"rfilename": file} for file in files]})
            if path.startswith(f"/{name}/resolve/"):  # Hugging Face: a file
                return self.send_file(files.get(path.split(f"/{name}/resolve/")[1].partition("/")[2]))
            if path == f"/api/v1/models/{name}/repo/files":  # ModelScope: files
                rows = [self.row(file, place) for file, place in files.items()]
                return self.send_json({"Code": 200, "Success": True, "Data": {"Files": rows}})
            if path == f"/api/v1/models/{name}/repo":  # ModelScope: a file
                return self.send_file(files.get(query["FilePath"]))
            if path == f"/api/v1/models/{name}":
                return self.send_json({"Code": 200, "Success": True, "Data": {"Name": name}})
        return self.send_json({"Code": 404, "Message": "not found"}, 404)

    def row(self, name: str, path: Path) -> dict[str, Any]:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return {"Path": name, "Name": path.name, "Type": "blob", "Size": path.stat().st_size, "Sha256": digest}

    def send_json(self, content: Any, status: int = 200) -> None:
        self.send(json.dumps(content).encode(), status, {"Content-Type": "application/json"})

    def send_file(self, path: Path | None) -> None:
        if path is None:
            return self.send_json({"Code": 404}, 404)
        content = path.read_bytes()
        tag = hashlib.sha256(content).hexdigest()
        self.send(content, 200, {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"})

    def send(self, content: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def server(family_folder: Callable[[str], Path], tmp_path: Path) -> Iterator[dict[str, str]]:
    """A hub on this machine with Qwen2.5-0.5B-Instruct, as a two-layer folder that also has a pickle and code."""
    folder = Path(shutil.copytree(family_folder("qwen2_5"), tmp_path / "served"))
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    (folder / "modeling.py").write_text("raise SystemExit")
    http = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    names = ("Qwen/Qwen2.5-0.5B-Instruct", "internlm/internlm-7b", "Shanghai_AI_Laboratory/internlm-7b")
    Hub.repositories, Hub.requests = dict.fromkeys(names, folder), []
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield {"address": f"http://127.0.0.1:{http.server_port}", "nowhere": "http://127.0.0.1:1"}
    http.shutdown()
    http.server_close()


@pytest.fixture(params=["modelscope", "huggingface"])
def one_hub(request: pytest.FixtureRequest, server: dict[str, str]) -> dict[str, str]:
    """The environment in which one of the hubs answers, and the other does not."""
    variables = {"modelscope": "MODELSCOPE_ENDPOINT", "huggingface": "HF_ENDPOINT"}
    return {name: server["address" if hub == request.param else "nowhere"] for hub, name in variables.items()}


# Fast variants of tests in which the hub is not the point; ModelScope's client takes seconds to import.
MOSTLY_HUGGINGFACE = pytest.mark.parametrize(
    "one_hub", [pytest.param("modelscope", marks=pytest.mark.slow), "huggingface"], indirect=True
)


def test_model_is_fetched_without_pickles_and_code(one_hub: dict[str, str]) -> None:
    done = swiftkit("models", "fetch", "qwen2_5-0_5b-instruct", "mine", **one_hub)
    assert done.returncode == 0, done.stderr
    assert "downloading the model Qwen/Qwen2.5-0.5B-Instruct from 127.0.0.1:" in done.stderr
    assert Path(done.stdout.splitlines()[-1]).resolve() == Path("mine").resolve()
    names = {p.name for p in Path("mine").iterdir() if not p.name.startswith(".")}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not names & {"pytorch_model.bin", "modeling.py"}
    assert not [path for path in Hub.requests if path.endswith(("pytorch_model.bin", "modeling.py"))]
    trained = swiftkit("sft", "--model_id_or_path", "mine", "--dataset", "math-sft#40", "--dry_run")
    assert trained.returncode == 0, trained.stderr


def test_fetched_model_is_found_without_a_connection(one_hub: dict[str, str]) -> None:
    first = swiftkit("models", "fetch", "Qwen/Qwen2.5-0.5B-Instruct", "--json", **one_hub)
    assert first.returncode == 0, first.stderr
    Hub.repositories = {}
    nowhere = dict.fromkeys(one_hub, "http://127.0.0.1:1")
    again = swiftkit("models", "fetch", "qwen2_5-0_5b-instruct", "--json", **nowhere)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == json.loads(first.stdout)
    assert "is on this machine already" in again.stderr
    planned = swiftkit("sft", "--model_type", "qwen2_5-0_5b-instruct", "--dry_run", **nowhere)
    assert planned.returncode == 0, planned.stderr


@MOSTLY_HUGGINGFACE
def test_incomplete_download_is_continued(one_hub: dict[str, str]) -> None:
    served = Hub.repositories["Qwen/Qwen2.5-0.5B-Instruct"]
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (served / "model.safetensors.index.json").write_text(json.dumps(index))
    shutil.copy(served / "model.safetensors", served / "model-2.safetensors")
    first = swiftkit("models", "fetch", "qwen2_5-0_5b-instruct", "--json", **one_hub)
    missing = Path(json.loads(first.stdout)["folder"]) / "model-2.safetensors"
    missing.unlink()
    again = swiftkit("models", "fetch", "qwen2_5-0_5b-instruct", **one_hub)
    assert again.returncode == 0, again.stderr
    assert "downloading the model" in again.stderr
    assert missing.is_file()


@MOSTLY_HUGGINGFACE
def test_model_without_a_family_can_be_fetched(one_hub: dict[str, str]) -> None:
    done = swiftkit("models", "fetch", "internlm/internlm-7b", "fetched", **one_hub)
    assert done.returncode == 0, done.stderr
    assert (Path("fetched") / "config.json").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "takes a name or hub id"),
        (["a", "b", "c"], "takes a name or hub id"),
        (["qwen2_5-7b-instrukt"], "did you mean `qwen2_5-7b-instruct"),
        (["tiny-math"], "ships with swiftkit"),
        (["qwen2_5-7b-instruct", "full"], "full exists and does not contain a model"),
        (["qwen2_5-7b-instruct"], "no hub is reachable (127.0.0.1:1, 127.0.0.1:1)"),
    ],
)
def test_impossible_fetch_is_refused(words: list[str], message: str) -> None:
    Path("full").mkdir()
    (Path("full") / "letter.txt").write_text("text")
    nowhere = dict.fromkeys(("MODELSCOPE_ENDPOINT", "HF_ENDPOINT"), "http://127.0.0.1:1")
    done = swiftkit("models", "fetch", *words, **nowhere)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@MOSTLY_HUGGINGFACE
def test_failed_download_is_reported(one_hub: dict[str, str]) -> None:
    done = swiftkit("models", "fetch", "qwen2_5-7b-instruct", **one_hub)
    assert done.returncode == 1, done.stderr
    assert "downloading Qwen/Qwen2.5-7B-Instruct from 127.0.0.1" in done.stderr
    assert "Traceback" not in done.stderr


def test_caches_of_both_generations_of_modelscopes_client_are_read(
    family_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "cache"))
    for place in ("models/Qwen--Qwen2.5-3B/snapshots/master", "hub/models/Qwen/Qwen2___5-7B"):
        shutil.copytree(family_folder("qwen2_5"), tmp_path / "cache" / place)
    assert hub.cached_model("Qwen/Qwen2.5-3B") == tmp_path / "cache/models/Qwen--Qwen2.5-3B/snapshots/master"
    assert hub.cached_model("Qwen/Qwen2.5-7B") == tmp_path / "cache/hub/models/Qwen/Qwen2___5-7B"
    assert hub.cached_model("Qwen/Qwen2.5-14B") is None
