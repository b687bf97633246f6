"""Kept-alive `http.client` connections, with the proxies and certificates of the environment."""

from __future__ import annotations

import base64
import http.client
import ipaddress
import select
import socket
import ssl
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping

BLOCK = 1024 * 1024
_MAX_IDLE_PER_HOST = 16
_KEPT = "/%:@!$&'()*+,;=~-._?"

Origin = tuple[str, str, int]


class Target:
    """A parsed URL for `http.client`."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not an http(s) URL: {url.split('?', maxsplit=1)[0]!r}")
        self.url = url
        self.origin: Origin = (
            parts.scheme,
            _ascii(parts.hostname),
            parts.port or (443 if parts.scheme == "https" else 80),
        )
        path = urllib.parse.quote(parts.path or "/", safe=_KEPT)
        query = urllib.parse.quote(parts.query, safe=_KEPT)
        self.path = f"{path}?{query}" if query else path

    @property
    def host(self) -> str:
        """Value of the Host header."""
        scheme, host, port = self.origin
        default = port == (443 if scheme == "https" else 80)
        return _bracketed(host) + ("" if default else f":{port}")

    @property
    def is_guarded(self) -> bool:
        """True if the bytes cannot change unnoticed: the URL uses TLS, or stays on this machine."""
        scheme, host, _ = self.origin
        return scheme == "https" or (_is_loopback(host) and proxy_for(self.origin) is None)

    @property
    def shown(self) -> str:
        """The URL without its query, which may hold a signature."""
        return self.url.split("?")[0]


class Connection:
    """Connection to one origin, direct or through a proxy."""

    def __init__(
        self, raw: http.client.HTTPConnection, origin: Origin, proxy: Proxy | None
    ) -> None:
        self.raw = raw
        self.origin = origin
        self.is_reused = False
        # A plain-http proxy expects the whole URL in the request line; through a tunnel the origin
        # expects the path.
        self._names_origin = proxy is not None and origin[0] == "http"
        self._proxy_headers = proxy.headers if proxy and self._names_origin else {}

    @property
    def is_idle(self) -> bool:
        """True if the connection is open and nothing has arrived since the last response.

        A load balancer may have closed it, or have sent a 408 that answers no request.
        """
        return self.raw.sock is not None and not _is_readable(self.raw.sock)

    def connect(self, timeout_s: float) -> None:
        """Connect if necessary, and set the time limit of each socket operation."""
        self.raw.timeout = timeout_s
        if self.raw.sock is None:
            self.raw.connect()
        else:
            self.raw.sock.settimeout(timeout_s)

    def begin(self, method: str, target: Target, headers: Mapping[str, str]) -> None:
        """Send the request line and the headers.

        Raises:
            ValueError: A header contains a line break, which would start another header.
        """
        for name, value in headers.items():
            if "\n" in value or "\r" in value:
                raise ValueError(f"header {name} contains a line break: remove it")
        scheme, host, port = self.origin
        request_target = target.path
        if self._names_origin:
            request_target = f"{scheme}://{_bracketed(host)}:{port}{target.path}"
        self.raw.putrequest(method, request_target, skip_host=True, skip_accept_encoding=True)
        self.raw.putheader("Host", target.host)
        for name, value in {**headers, **self._proxy_headers}.items():
            self.raw.putheader(name, value)
        self.raw.endheaders()

    def interrupt(self) -> None:
        """Make a blocking socket operation in another thread fail."""
        sock = self.raw.sock
        if sock is None:
            return
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            sock.close()  # the other side has closed it already

    def close(self) -> None:
        """Close the connection."""
        self.raw.close()


class Proxy:
    """Forward proxy from the environment variables."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(
                f"file transfers cannot use the proxy {parts.scheme}://{parts.hostname}: "
                "use an http:// proxy, or add the storage host to NO_PROXY"
            )
        self.host = parts.hostname
        self.port = parts.port or 80
        self.headers: dict[str, str] = {}
        if parts.username:
            user = urllib.parse.unquote(parts.username)
            password = urllib.parse.unquote(parts.password or "")
            basic = base64.b64encode(f"{user}:{password}".encode()).decode()
            self.headers["Proxy-Authorization"] = f"Basic {basic}"


class ConnectionPool:
    """Idle connections by origin; thread-safe.

    Args:
        make_ssl_context: Called for the first https connection.
    """

    def __init__(self, make_ssl_context: Callable[[], ssl.SSLContext]) -> None:
        self._make_ssl_context = make_ssl_context
        self._ssl_context: ssl.SSLContext | None = None
        self._idle: dict[Origin, list[Connection]] = {}
        self._is_closed = False
        self._lock = threading.Lock()

    def take(self, origin: Origin) -> Connection:
        """Return an idle connection, or a new one that is not connected yet."""
        while (connection := self._pop(origin)) is not None:
            if connection.is_idle:
                connection.is_reused = True
                return connection
            connection.close()
        return self.make(origin)

    def give_back(self, connection: Connection) -> None:
        """Keep a connection whose response has been read to the end."""
        with self._lock:
            idle = self._idle.setdefault(connection.origin, [])
            if len(idle) < _MAX_IDLE_PER_HOST and not self._is_closed:
                idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close the idle connections now, and busy ones when they are given back."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.close()

    def make(self, origin: Origin) -> Connection:
        """Return a new connection that is not connected yet."""
        scheme, host, port = origin
        proxy = proxy_for(origin)
        where = (proxy.host, proxy.port) if proxy else (host, port)
        raw: http.client.HTTPConnection
        if scheme == "https":
            raw = http.client.HTTPSConnection(*where, blocksize=BLOCK, context=self._certificates())
            if proxy:
                raw.set_tunnel(host, port, headers=proxy.headers)
        else:
            raw = http.client.HTTPConnection(*where, blocksize=BLOCK)
        return Connection(raw, origin, proxy)

    def _pop(self, origin: Origin) -> Connection | None:
        with self._lock:
            idle = self._idle.get(origin)
            return idle.pop() if idle else None

    def _certificates(self) -> ssl.SSLContext:
        with self._lock:
            if self._ssl_context is None:
                self._ssl_context = self._make_ssl_context()
            return self._ssl_context


def proxy_for(origin: Origin) -> Proxy | None:
    """Return the proxy for an origin from the environment variables, if any."""
    scheme, host, port = origin
    proxies = urllib.request.getproxies()
    url = proxies.get(scheme) or proxies.get("all")
    if not url or urllib.request.proxy_bypass(f"{host}:{port}"):
        return None
    return Proxy(url)


def _is_readable(sock: socket.socket) -> bool:
    """Return True if a read would not block: data has arrived, or the other side has closed."""
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def _ascii(host: str) -> str:
    return host if host.isascii() else host.encode("idna").decode()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
