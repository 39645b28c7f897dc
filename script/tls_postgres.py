"""A PostgreSQL server that is reached as one on AWS: by TCP, through TLS alone, with a password.

Its certificate is signed by an authority that is made for it and gone with it. The wheel's PostgreSQL was
built without TLS: what stands before it speaks TLS as PostgreSQL and RDS Proxy do, and hands everything on.
"""

import contextlib
import datetime as dt
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from with_postgres import Server, run_folder

HOST = "localhost"
ACCESS = """\
local all postgres trust
local all all      scram-sha-256
"""
DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Authority:
    """Who signs: its key and its own certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        """The certificate as a bundle of roots has it."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def signs(self, host: str) -> tuple[str, str]:
        """Return key and certificate of a server of that name."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _certificate(host, self.certificate.subject, key)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return private.decode(), certificate.public_bytes(serialization.Encoding.PEM).decode()


def authority(name: str) -> Authority:
    """Make one."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        _certificate(name, subject, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(key, certificate)


def _certificate(name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
    )


# What a client of PostgreSQL sends before anything else to ask for TLS: length 8, code 80877103.
ASKS_FOR_TLS = (8).to_bytes(4) + (80877103).to_bytes(4)


@contextlib.contextmanager
def tls_before(server: str, key: str, certificate: str, folder: Path) -> Iterator[int]:
    """Yield the port of 127.0.0.1 at which the PostgreSQL behind a Unix socket can be had with TLS alone."""
    (folder / "key.pem").write_text(key)
    (folder / "certificate.pem").write_text(certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_welcome, args=(listening, context, server))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def _welcome(listening: socket.socket, context: ssl.SSLContext, server: str) -> None:
    """Serve each client in a thread, until nobody listens any more."""
    with contextlib.suppress(OSError):
        while True:
            client, _ = listening.accept()
            threading.Thread(target=_serve, args=(client, context, server), daemon=True).start()


def _serve(client: socket.socket, context: ssl.SSLContext, server: str) -> None:
    with client, contextlib.suppress(OSError):
        if client.recv(len(ASKS_FOR_TLS), socket.MSG_WAITALL) != ASKS_FOR_TLS:
            return
        client.sendall(b"S")
        with context.wrap_socket(client, server_side=True) as inside, socket.socket(socket.AF_UNIX) as behind:
            behind.connect(server)
            inside.setblocking(False)
            _relay(inside, behind)


def _relay(inside: ssl.SSLSocket, behind: socket.socket) -> None:
    """Hand everything on, both ways, until one of them goes."""
    while True:
        select.select([inside, behind], [], [])
        while True:
            try:
                said = inside.recv(65536)
            except ssl.SSLWantReadError:
                break
            if not said:
                return
            behind.sendall(said)
        if select.select([behind], [], [], 0)[0]:
            said = behind.recv(65536)
            if not said:
                return
            inside.setblocking(True)
            inside.sendall(said)
            inside.setblocking(False)


@dataclass(frozen=True)
class Running:
    """A server: HOST and this port for everybody, `admin` (a URL) for who starts it."""

    port: int
    authority: Path
    admin: str


@contextlib.contextmanager
def running() -> Iterator[Running]:
    """Yield a server that is gone afterwards, and its data."""
    with run_folder() as (run, lock):
        files = run / "tls"
        server = Server(None, run, [lock], fast=True, settings={"hba_file": files / "pg_hba.conf"})
        files.mkdir()
        files.chmod(0o711)
        (files / "pg_hba.conf").write_text(ACCESS)
        (files / "pg_hba.conf").chmod(0o644)
        signs = authority("an authority for one server")
        (files / "authority.pem").write_text(signs.pem)
        server.start()
        try:
            with tls_before(str(server.sockets / ".s.PGSQL.5432"), *signs.signs(HOST), files) as port:
                admin = f"postgresql://postgres@/postgres?host={server.sockets}&port=5432"
                yield Running(port, files / "authority.pem", admin)
        finally:
            server.stop()
