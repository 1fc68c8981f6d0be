"""A server that speaks TLS with a certificate of its own, in front of one that does not."""

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A certificate for the name localhost, which signs itself, and its key."""

    path: Path
    key: Path


def make_certificate(folder: Path) -> Certificate:
    """A new one, in the folder."""
    made = Certificate(path=folder / "server.crt", key=folder / "server.key")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
            *("-out", str(made.path), "-keyout", str(made.key)),
        ],
        check=True,
        capture_output=True,
    )
    return made


@contextlib.contextmanager
def behind_tls(port: int, certificate: Certificate) -> Iterator[int]:
    """A port at which the server of another port speaks TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.path, certificate.key)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        stop, connections = threading.Event(), []

        def accept() -> None:
            while not stop.is_set():
                with contextlib.suppress(OSError):
                    plain, _ = listening.accept()
                    plain.settimeout(5)
                    both = threading.Thread(target=speak, args=(plain,))
                    both.start()
                    connections.append(both)

        def speak(plain: socket.socket) -> None:
            with plain, contextlib.suppress(OSError):
                secret = context.wrap_socket(plain, server_side=True)
                with secret, socket.create_connection(("127.0.0.1", port)) as server:
                    up = threading.Thread(target=pass_on, args=(secret, server))
                    up.start()
                    pass_on(server, secret)
                    up.join()

        def pass_on(this: socket.socket, other: socket.socket) -> None:
            this.settimeout(0.1)
            while not stop.is_set():
                try:
                    data = this.recv(65536)
                    if not data:
                        break
                    other.sendall(data)
                except TimeoutError:
                    continue
                except OSError:
                    break
            with contextlib.suppress(OSError):
                other.shutdown(socket.SHUT_WR)

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield int(listening.getsockname()[1])
        finally:
            stop.set()
            for thread in (accepting, *connections):
                thread.join()
