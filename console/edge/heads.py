"""Read the head of a request, and refuse what is unacceptable before reading anything else."""

from __future__ import annotations

import re
from dataclasses import dataclass

import h11

from apps.core.errors import BadRequest, MethodNotAllowed

PEER_HEADER = b"x-ballast-peer"
"""Carries the client's address to the web process. The edge removes this header from clients' requests."""

METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
# Headers that concern one connection (RFC 9110, 7.6.1), and those that the edge itself has handled.
_OWN = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization", b"te",
        b"trailer", b"transfer-encoding", b"upgrade", b"expect", b"content-length", PEER_HEADER,
    }
)  # fmt: skip
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?#]*)(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Head:
    """One request without its body. ``length`` is ``None`` where the body is chunked."""

    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    length: int | None
    forwarded_for: str
    has_credentials: bool

    @property
    def path(self) -> str:
        return self.target.partition(b"?")[0].decode("latin-1")

    @property
    def is_safe(self) -> bool:
        """Whether a repeat of the request changes nothing."""
        return self.method in (b"GET", b"HEAD")

    def to_web(self, *, peer: str, length: int) -> bytes:
        """Return the head for a web process, with the body's length and the client's address."""
        lines = [b"%s %s HTTP/1.1\r\n" % (self.method, self.target)]
        lines += [b"%s: %s\r\n" % header for header in self.headers]
        if length or self.method not in (b"GET", b"HEAD", b"OPTIONS"):
            lines.append(b"content-length: %d\r\n" % length)
        lines.append(b"%s: %s\r\n\r\n" % (PEER_HEADER, peer.encode("ascii", "replace")))
        return b"".join(lines)

    def asking_who(self, peer: str) -> bytes:
        """Return a request to a web process, with the same credentials, that asks whether the sender is signed in."""
        lines = [b"GET /-/known HTTP/1.1\r\n"]
        lines += [b"%s: %s\r\n" % header for header in self.headers if not header[0].startswith(b"content-")]
        lines.append(b"%s: %s\r\n\r\n" % (PEER_HEADER, peer.encode("ascii", "replace")))
        return b"".join(lines)


def read_head(request: h11.Request, *, session_cookie: bytes) -> Head:
    """Check the head that h11 has parsed, and remove headers that end here.

    Raises `BadRequest` where a proxy in front might read the request differently from Ballast (a length beside chunks,
    an odd target), and `MethodNotAllowed` for methods that no page takes. Headers whose name has an underscore are
    dropped, because Django takes ``X_Forwarded_For`` and ``X-Forwarded-For`` for the same name.
    """
    length: int | None = 0
    is_chunked = False
    kept = []
    forwarded: list[str] = []
    has_credentials = False
    for name, value in request.headers:
        if name == b"content-length":
            length = int(value)
        elif name == b"transfer-encoding":
            is_chunked = True
        elif name == b"x-forwarded-for":
            forwarded.append(value.decode("latin-1"))
        elif name in (b"x-api-key", b"authorization"):
            has_credentials = True
        elif name == b"cookie":
            has_credentials = has_credentials or session_cookie + b"=" in value
        if name not in _OWN and b"_" not in name:
            kept.append((name, value))
    if is_chunked:
        if any(name == b"content-length" for name, _ in request.headers):
            raise BadRequest("The request has both Content-Length and Transfer-Encoding. Send one of them.")
        if request.http_version == b"1.0":
            raise BadRequest("HTTP/1.0 knows no Transfer-Encoding. Send Content-Length.")
        length = None
    if request.method not in METHODS:
        raise MethodNotAllowed(
            "Ballast does not take this method.", headers={"Allow": b", ".join(sorted(METHODS)).decode()}
        )
    target = request.target
    if absolute := _ABSOLUTE.fullmatch(target):
        kept = [(b"host", absolute[1]), *(header for header in kept if header[0] != b"host")]
        target = absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]
    if not target.startswith(b"/") or b"#" in target:
        raise BadRequest("The request asks for no path. Send a target that begins with a slash.")
    return Head(
        method=request.method,
        target=target,
        headers=kept,
        length=length,
        forwarded_for=",".join(forwarded),
        has_credentials=has_credentials,
    )
