"""Put on PYTHONPATH by tests: every Python process, children included, notes the connections that it makes."""

import os
import sys
from pathlib import Path


def note(event, arguments):
    if event == "socket.connect":
        address = arguments[1]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        address = arguments[0]
    else:
        return
    if isinstance(address, (str, bytes)) and event == "socket.connect":
        return  # a socket in the file system
    host = address[0] if isinstance(address, tuple) else address
    if host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", b"localhost", None):
        return
    with Path(os.environ["AUDIT_LOG"]).open("a") as log:
        log.write(f"{event} {host} {' '.join(sys.argv)[:200]}\n")


if "AUDIT_LOG" in os.environ:
    with Path(os.environ["AUDIT_LOG"]).open("a") as log:
        log.write(f"watching {' '.join(sys.argv)[:200]}\n")
    sys.addaudithook(note)
