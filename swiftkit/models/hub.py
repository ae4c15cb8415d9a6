"""ModelScope and Hugging Face: what was downloaded before, and downloading, which is announced before it starts."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlparse

from swiftkit.errors import FAILED, SwiftkitError

logger = logging.getLogger(__name__)
WORKER = "swiftkit.worker.download"
CONNECT_TIMEOUT_S = 3.0  # within which a hub must accept a connection, before anything is downloaded


def cached_model(hub_id: str) -> Path | None:
    """The folder of a model that either hub's client has downloaded before; no connection is made."""
    organization, _, name = hub_id.partition("/")
    for cache in _modelscope_caches():
        snapshots = cache / "models" / f"{organization}--{name}" / "snapshots"
        for folder in (snapshots / "master", *sorted(snapshots.glob("*"))):
            if _has_weights(folder):
                return folder
        # Before 1.38 the client wrote dots of a name as three underscores.
        for spelling in (name, name.replace(".", "___")):
            for parent in (cache / "models", cache):
                if _has_weights(parent / organization / spelling):
                    return parent / organization / spelling
    repository = _huggingface_cache() / f"models--{organization}--{name}"
    main = repository / "refs" / "main"
    if main.is_file():
        folder = repository / "snapshots" / main.read_text(encoding="utf-8").strip()
        if _has_weights(folder):
            return folder
    return None


def _modelscope_caches() -> list[Path]:
    """Where ModelScope's client keeps downloads: since 1.38, and before."""
    home = os.environ.get("MODELSCOPE_CACHE")
    cache = Path(home).expanduser() if home else Path.home() / ".cache" / "modelscope"
    return [cache, cache / "hub"]


def _huggingface_cache() -> Path:
    if cache := os.environ.get("HF_HUB_CACHE"):
        return Path(cache).expanduser()
    parent = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return Path(os.environ.get("HF_HOME", parent / "huggingface")).expanduser() / "hub"


def _has_weights(folder: Path) -> bool:
    """Whether any weights have arrived; a download that stopped before them is started again."""
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))


# --- connecting -------------------------------------------------------------------------------------------------------


def _endpoints() -> dict[str, str]:
    """Hub to the address that its client is configured to use."""
    domain = os.environ.get("MODELSCOPE_DOMAIN", "www.modelscope.cn")
    return {
        "modelscope": os.environ.get("MODELSCOPE_ENDPOINT", f"https://{domain}"),
        "huggingface": os.environ.get("HF_ENDPOINT", "https://huggingface.co"),
    }


def _hosts() -> dict[str, str]:
    """Hub to host (and port)."""
    return {hub: urlparse(address).netloc or address for hub, address in _endpoints().items()}


def _address(hub: str) -> tuple[str, int]:
    """Host and port to connect to: the hub's, or those of the proxy in front of it."""
    is_http = _endpoints()[hub].startswith("http:")
    proxy = None if is_http else os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
    parsed = urlparse(proxy if proxy and "//" in proxy else f"//{proxy or _hosts()[hub]}")
    return parsed.hostname or _hosts()[hub], parsed.port or (80 if is_http else 443)


def _first_reachable(hubs: list[str]) -> str | None:
    """The first of the hubs that accepts a connection in time."""
    reachable: dict[str, bool] = {}

    def connect(hub: str) -> None:
        try:
            socket.create_connection(_address(hub), timeout=CONNECT_TIMEOUT_S).close()
            reachable[hub] = True
        except OSError:
            reachable[hub] = False

    # Threads, because a name lookup has no time limit of its own; daemons, so that one may be left behind.
    threads = [threading.Thread(target=connect, args=(hub,), daemon=True) for hub in hubs]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + CONNECT_TIMEOUT_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return next((hub for hub in hubs if reachable.get(hub)), None)


# --- downloading ------------------------------------------------------------------------------------------------------


def fetch_model(name: str, modelscope: str | None, huggingface: str | None, into: Path | None = None) -> Path:
    """Download a model, from ModelScope if it is reachable, else from Hugging Face.

    Args:
        name: for messages.
        modelscope: its id there, if it has one.
        huggingface: its id there, if it has one.
        into: target folder; None: the cache of the hub's client.

    Raises:
        SwiftkitError: it has no id, or neither hub is reachable (exit code 2), or the download fails (exit code 1).
    """
    ids = {hub: i for hub, i in (("modelscope", modelscope), ("huggingface", huggingface)) if i}
    if not ids:
        raise SwiftkitError(
            f"{name} is not a folder and not on this machine, and the registry has no Hub id for it",
            "pass --model_id_or_path FOLDER, or put the folder under $SWIFTKIT_MODELS",
        )
    hub = _first_reachable(list(ids))
    if hub is None:
        raise SwiftkitError(
            f"{name} is not a folder and not on this machine, and no hub is reachable "
            f"({', '.join(_hosts()[hub] for hub in ids)})",
            "pass --model_id_or_path FOLDER, or put the folder under $SWIFTKIT_MODELS",
        )
    return Path(_download("model", hub, ids[hub], *([str(into)] if into else [])))


def fetch_dataset(hub_id: str, hubs: tuple[str, ...] = ("modelscope", "huggingface")) -> Path:
    """Download a dataset (`org/name[:subset[:split]]`) and keep its rows as a .jsonl file.

    Args:
        hub_id: the dataset.
        hubs: where it may come from; the first reachable one is used.

    Raises:
        SwiftkitError: no hub is reachable (exit code 2), or the download fails (exit code 1).
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "swiftkit" / "datasets"
    cached = cache / (hub_id.replace("/", "--").replace(":", "--") + ".jsonl")
    if cached.is_file():
        logger.info("dataset %s: %s (downloaded before)", hub_id, cached)
        return cached
    hub = _first_reachable(list(hubs))
    if hub is None:
        raise SwiftkitError(
            f"there is no file or dataset named {hub_id}, and no hub is reachable ({', '.join(_hosts().values())})",
            "name a local file, or one of `swiftkit models --datasets`",
        )
    return Path(_download("dataset", hub, hub_id, str(cached)))


def _download(what: str, hub: str, hub_id: str, *arguments: str) -> str:
    """Download in a process of its own (the clients import half of a training stack); returns the path."""
    logger.info("downloading the %s %s from %s", what, hub_id, _hosts()[hub])
    command = [sys.executable, "-m", WORKER, what, hub, hub_id, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SwiftkitError(
            f"downloading {hub_id} from {_hosts()[hub]} failed",
            "see the client's messages above",
            exit_code=FAILED,
        )
    return str(json.loads(done.stdout.strip().splitlines()[-1]))
