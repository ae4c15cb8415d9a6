"""Worker processes without their start-up time: a server that has imported the heavy libraries forks each of them.

A test's `sys.executable` is a small client. For a worker of swiftkit it hands its arguments, environment, folder and
standard streams to the server, which forks a process that runs the worker's real `__main__`, after the script that
`$WORKER_FAULT` names, if any; the client lives as long as that process, passes signals on, and ends as it ends.
Everything else, and every worker with a sitecustomize.py in its PYTHONPATH, is a real start of Python. One server
serves all workers of pytest-xdist, and ends with the session.
"""

from __future__ import annotations

import array
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
import warnings
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from filelock import FileLock

WORKERS = {
    "swiftkit.worker.exam",
    "swiftkit.worker.merge",
    "swiftkit.worker.tokenizer",
    "swiftkit.worker.token_parity",
    "swiftkit.training.trainers.ms_swift.worker",
}
PRELOADED = [
    *("torch", "peft", "evalscope.api.registry", "swift.pipelines.train.sft"),
    *("transformers.integrations.sdpa_attention", "transformers.models.qwen2.modeling_qwen2"),
    *("swiftkit.exams.engines.transformers", "swiftkit.data.formats", *sorted(WORKERS)),
]
SERVER_START_TIMEOUT_S = 120.0
POLL_INTERVAL_S = 0.01

# Run by `python -S -E`, without site-packages: it starts in a hundredth of a second.
CLIENT = """#!{python} -SE
import array, json, os, signal, socket, sys
words = sys.argv[1:]
is_worker = words[:1] == ["-m"] and words[1] in {workers!r}
folders = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
if not is_worker or any(os.path.exists(os.path.join(folder, "sitecustomize.py")) for folder in folders):
    os.execv({python!r}, [{python!r}, *words])
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
request = json.dumps({{"argv": words, "environment": dict(os.environ), "folder": os.getcwd()}}).encode()
server.sendmsg([len(request).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
server.sendall(request)
replies = server.makefile("r")
pid = int(replies.readline())
def forward(number, frame):
    os.kill(pid, number)
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, forward)
code = int(replies.readline())
if code < 0:
    if -code != signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""


def client(folder: Path, session: int) -> Path:
    """The client program, which knows the server's address; the server is started by whoever needs it first.

    Args:
        folder: of the test session, for socket, log and lock.
        session: id of pytest's own process, with which the server ends.
    """
    script, address = folder / "python", folder / "socket"
    with FileLock(folder / "warm.lock"):
        if not script.exists():
            _start_server(folder, address, session)
            partial = folder / "python.partial"
            partial.write_text(CLIENT.format(python=sys.executable, workers=WORKERS, address=str(address)))
            partial.chmod(0o755)
            partial.rename(script)
    return script


def _start_server(folder: Path, address: Path, session: int) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, __file__, str(address), str(session)],
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + SERVER_START_TIMEOUT_S
    while not address.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the server did not start: {(folder / 'server.log').read_text()}")
        time.sleep(0.05)


# --- the server -------------------------------------------------------------------------------------------------------


def _preload() -> None:
    """Import what workers import, and what transformers imports lazily for most models of the tests."""
    for name in PRELOADED:
        import_module(name)
    import transformers

    for name in ("AutoModelForCausalLM", "AutoTokenizer", "PreTrainedTokenizerFast", "Trainer"):
        getattr(transformers, name)
    for name in WORKERS:  # they run as `__main__`, as after a real start
        sys.modules.pop(name, None)


def serve(address: str, session: int) -> None:
    """Fork a process for each request, until the process `session` (pytest's own) has ended."""
    import gc

    import psutil

    _preload()
    gc.collect()
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    listener.setblocking(False)
    children: dict[int, socket.socket] = {}
    while psutil.pid_exists(session):
        with suppress(BlockingIOError):
            connection, _ = listener.accept()
            connection.setblocking(True)
            request, streams = _receive(connection)
            if pid := os.fork():
                for stream in streams:
                    os.close(stream)
                connection.sendall(f"{pid}\n".encode())
                connection.setblocking(False)
                children[pid] = connection
            else:
                for other in (listener, connection, *children.values()):
                    other.close()
                _run(request, streams)
        for pid, connection in list(children.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            with suppress(OSError):  # BlockingIOError: the client is there and has nothing to say
                if ended:
                    connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
                elif connection.recv(1) == b"":
                    os.kill(pid, signal.SIGKILL)  # the client was killed, and so is its worker
            if ended:
                connection.close()
                del children[pid]
        time.sleep(POLL_INTERVAL_S)


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    descriptors = array.array("i")
    head, ancillary, _, _ = connection.recvmsg(4, socket.CMSG_LEN(3 * descriptors.itemsize))
    for _, _, data in ancillary:
        descriptors.frombytes(data)
    content = b""
    while len(content) < int.from_bytes(head, "big"):
        content += connection.recv(65536)
    return json.loads(content), list(descriptors)


def _run(request: dict[str, Any], streams: list[int]) -> NoReturn:
    """Become the worker."""
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
    os.setsid()
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    _, module, *arguments = request["argv"]
    sys.argv = [module, *arguments]
    sys.orig_argv = [sys.executable, "-m", *sys.argv]
    sys.path[:1] = [request["folder"], *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    warnings.simplefilter("ignore", RuntimeWarning)
    code = 0
    try:
        if fault := os.environ.get("WORKER_FAULT"):
            runpy.run_path(fault)
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    with suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
