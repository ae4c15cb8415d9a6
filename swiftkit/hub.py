"""ModelScope and Hugging Face: what was downloaded before, and downloading, said before it starts."""

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
PATIENCE = 3.0  # seconds in which a hub must answer a connection, before anything is downloaded


def _modelscope_caches() -> list[Path]:
    """Where ModelScope's client keeps what it has downloaded: since 1.38, and before."""
    home = os.environ.get("MODELSCOPE_CACHE")
    cache = Path(home).expanduser() if home else Path.home() / ".cache" / "modelscope"
    return [cache, cache / "hub"]


def _huggingface_cache() -> Path:
    named = os.environ.get("HF_HUB_CACHE")
    if named:
        return Path(named).expanduser()
    above = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return Path(os.environ.get("HF_HOME", above / "huggingface")).expanduser() / "hub"


def cached_model(hub_id: str) -> Path | None:
    """The folder of a model that either hub's client has downloaded before; looked up without a connection."""
    organisation, _, name = hub_id.partition("/")
    for cache in _modelscope_caches():
        snapshots = cache / "models" / f"{organisation}--{name}" / "snapshots"
        for folder in (snapshots / "master", *sorted(snapshots.glob("*"))):
            if _begun(folder):
                return folder
        # Before 1.38 the client wrote dots of a name as three underscores.
        for spelled in (name, name.replace(".", "___")):
            for top in (cache / "models", cache):
                if _begun(top / organisation / spelled):
                    return top / organisation / spelled
    repository = _huggingface_cache() / f"models--{organisation}--{name}"
    main = repository / "refs" / "main"
    if main.is_file():
        folder = repository / "snapshots" / main.read_text(encoding="utf-8").strip()
        if _begun(folder):
            return folder
    return None


def _begun(folder: Path) -> bool:
    """Whether weights are there at all; a download that broke off before them is begun anew."""
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))


def _hosts() -> dict[str, str]:
    """Hub to the host (and port) that its client will use."""
    return {hub: urlparse(address).netloc or address for hub, address in _endpoints().items()}


def _endpoints() -> dict[str, str]:
    """Hub to what its client is told to use."""
    domain = os.environ.get("MODELSCOPE_DOMAIN", "www.modelscope.cn")
    return {
        "modelscope": os.environ.get("MODELSCOPE_ENDPOINT", f"https://{domain}"),
        "huggingface": os.environ.get("HF_ENDPOINT", "https://huggingface.co"),
    }


def _address(hub: str) -> tuple[str, int]:
    """Host and port to knock at: the hub's, or those of the proxy on the way to it."""
    proxy = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
    plain = _endpoints()[hub].startswith("http:")
    proxy = None if plain else proxy
    parsed = urlparse(proxy if proxy and "//" in proxy else f"//{proxy or _hosts()[hub]}")
    return parsed.hostname or _hosts()[hub], parsed.port or (80 if plain else 443)


def _reachable(hubs: list[str]) -> str | None:
    """The first of the hubs that answers within `PATIENCE` seconds."""
    answered: dict[str, bool] = {}

    def knock(hub: str) -> None:
        try:
            socket.create_connection(_address(hub), timeout=PATIENCE).close()
            answered[hub] = True
        except OSError:
            answered[hub] = False

    # Threads, because looking a name up has no time limit of its own; daemons, so that one may be left behind.
    knocking = [threading.Thread(target=knock, args=(hub,), daemon=True) for hub in hubs]
    for thread in knocking:
        thread.start()
    until = time.monotonic() + PATIENCE
    for thread in knocking:
        thread.join(max(0.0, until - time.monotonic()))
    return next((hub for hub in hubs if answered.get(hub)), None)


def fetch_model(name: str, modelscope: str | None, huggingface: str | None, into: Path | None = None) -> Path:
    """Download a model, from ModelScope if it answers, else from Hugging Face.

    Args:
        name: what a person calls it.
        modelscope: its id there, if it is there.
        huggingface: its id there, if it is there.
        into: the folder that it is put into; None: the cache of the hub's client.

    Raises:
        SwiftkitError: neither hub answers (exit code 2), or the download breaks off (exit code 1).
    """
    ids = {hub: i for hub, i in (("modelscope", modelscope), ("huggingface", huggingface)) if i}
    hub = _reachable(list(ids))
    if hub is None:
        raise SwiftkitError(
            f"{name} is no folder and not on this machine, and no hub answers "
            f"({', '.join(_hosts()[hub] for hub in ids)})",
            "pass --model_id_or_path FOLDER, or put the folder under $SWIFTKIT_MODELS",
        )
    return Path(_download("model", hub, ids[hub], *([str(into)] if into else [])))


def fetch_dataset(asked: str, hubs: tuple[str, ...] = ("modelscope", "huggingface")) -> Path:
    """Download a dataset (`org/name[:subset[:split]]`) and keep its rows as a .jsonl file.

    Args:
        asked: the hub id.
        hubs: where it may come from, the first that answers; an entry of the registry names one.

    Raises:
        SwiftkitError: no hub answers (exit code 2), or the download breaks off (exit code 1).
    """
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "swiftkit" / "datasets"
    kept = home / (asked.replace("/", "--").replace(":", "--") + ".jsonl")
    if kept.is_file():
        logger.info("dataset %s: %s (downloaded before)", asked, kept)
        return kept
    hub = _reachable(list(hubs))
    if hub is None:
        raise SwiftkitError(
            f"there is no file or dataset named {asked}, and no hub answers ({', '.join(_hosts().values())})",
            "name a local file, or one of `swiftkit models --datasets`",
        )
    return Path(_download("dataset", hub, asked, str(kept)))


def _download(what: str, hub: str, hub_id: str, *more: str) -> str:
    """Download in a process of its own (the clients import half of a training stack); returns the path."""
    logger.info("downloading the %s %s from %s", what, hub_id, _hosts()[hub])
    command = [sys.executable, "-m", "swiftkit.worker.download", what, hub, hub_id, *more]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SwiftkitError(
            f"downloading {hub_id} from {_hosts()[hub]} failed",
            "what the client printed stands above",
            exit_code=FAILED,
        )
    return str(json.loads(done.stdout.strip().splitlines()[-1]))
