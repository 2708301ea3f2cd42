"""What the process was told by its environment, read once and checked whole (PRODUCT, "Names").

Every variable is optional. One that cannot be understood stops the start with one line that names it, the problem and
the remedy (``BadEnvironment``; ``server.py`` prints it and exits with 2). Values that may be secret are never repeated
in such a line, and ``repr`` of the result hides them.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import ipaddress
import os
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

PHONE_API_URL: Final = "https://api.moysklad.ru/api/phone/1.0"
MAIN_API_URL: Final = "https://api.moysklad.ru/api/remap/1.2"
ASTERISK_API_URL: Final = "http://localhost:8018"
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
SECRET_KEY_FILE: Final = "secret.key"
MIN_PASSPHRASE_CHARACTERS: Final = 8
PASSPHRASE_SALT: Final = b"ms-call-service/tokens-at-rest/1"
"""Fixed: the key must be the same on every instance and after every restart, and there is no place for a salt."""

PASSPHRASE_ROUNDS: Final = 600_000

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class BadEnvironment(Exception):
    """A variable that cannot be understood: one line with its ``name``, the problem and the remedy, never a secret."""

    def __init__(self, name: str, problem: str, remedy: str) -> None:
        super().__init__(f"{name}: {problem}; {remedy}")
        self.name = name


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The process's settings. ``None`` or empty: not given. Secrets do not appear in ``repr``.

    ``secret_key`` is as given (see ``load_or_create_secret_key``); URLs have no trailing slash; ``call_max_s`` is how
    long a call may live before it is closed without its hangup; ``data_dir`` is absolute.
    """

    database_url: str | None = field(default=None, repr=False)
    host: str = "127.0.0.1"
    port: int = 8023
    data_dir: Path = field(default_factory=lambda: Path("var").absolute())
    public_url: str | None = None
    phone_api_url: str = PHONE_API_URL
    main_api_url: str = MAIN_API_URL
    timezone: str = "Europe/Minsk"
    api_timezone: str = "Europe/Moscow"
    admin_token: str | None = field(default=None, repr=False)
    admin_password: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    internal_token: str | None = field(default=None, repr=False)
    internal_networks: tuple[Network, ...] = (
        ipaddress.ip_network("127.0.0.0/8"),
        ipaddress.ip_network("::1/128"),
    )
    asterisk_api_url: str = ASTERISK_API_URL
    pbx_file: Path | None = None
    log_level: str = "info"
    call_max_s: int = 7200

    @classmethod
    def from_env(cls, variables: Mapping[str, str]) -> Environment:
        """Read and check every variable of ours; an empty one counts as absent. Raises BadEnvironment for the first bad one."""
        given = {}
        for name, (attribute, parse) in _FIELDS.items():
            text = variables.get(name, "").strip()
            if text:
                given[attribute] = parse(name, text)
        return cls(**given)  # type: ignore[arg-type]

    @property
    def local_url(self) -> str:
        """Where this machine reaches the service, whatever address it listens on."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def load_or_create_secret_key(environment: Environment) -> tuple[bytes, ...]:
    """Fernet keys for tokens at rest; the first encrypts, all decrypt (``MultiFernet``), which is how keys are rotated.

    ``MS_SECRET_KEY`` holds one or several, separated by commas: Fernet keys as they are, anything else of at least 8
    characters as a passphrase from which a key is derived (PBKDF2-SHA256, fixed salt: let it be long and random). Without
    it a key is made once and kept in ``<data_dir>/secret.key``, mode 0600; several processes starting at once agree on one.
    Raises BadEnvironment, also when the file cannot be read or is damaged (a new key would make stored tokens unreadable).
    """
    if environment.secret_key is not None:
        return tuple(_key(part) for part in _split_keys(environment.secret_key))
    path = environment.data_dir / SECRET_KEY_FILE
    try:
        text, _ = kept_secret(path, lambda: Fernet.generate_key().decode())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise BadEnvironment(
            "MS_SECRET_KEY", f"is absent and {path} cannot be used ({reason})", "set it, or make the file readable"
        ) from error
    if not _is_fernet_key(text):
        raise BadEnvironment(
            "MS_SECRET_KEY", f"is absent and {path} does not hold a key", "restore the file from a backup, or set the variable"
        )
    return (text.encode(),)


def kept_secret(path: Path, make: Callable[[], str]) -> tuple[str, bool]:
    """The secret in the file and whether it was made now: under a lock, written whole beside it, then renamed. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = False
    if not path.exists():
        lock = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                _write_private(path, f"{make()}\n".encode())
                is_new = True
        finally:
            os.close(lock)
    return path.read_text(encoding="utf-8", errors="replace").strip(), is_new


def _write_private(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)


def _is_fernet_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text.encode(), altchars=b"-_", validate=True)) == 32
    except (binascii.Error, ValueError):
        return False


def _key(text: str) -> bytes:
    if _is_fernet_key(text):
        return text.encode()
    derive = PBKDF2HMAC(algorithm=hashes.SHA256(), length=32, salt=PASSPHRASE_SALT, iterations=PASSPHRASE_ROUNDS)
    return base64.urlsafe_b64encode(derive.derive(text.encode()))


def _split_keys(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _secret_key(name: str, text: str) -> str:
    for part in _split_keys(text):
        if not _is_fernet_key(part) and len(part) < MIN_PASSPHRASE_CHARACTERS:
            raise BadEnvironment(
                name,
                f"one of its keys is neither a Fernet key nor a passphrase of {MIN_PASSPHRASE_CHARACTERS} characters",
                "give keys separated by commas, or leave it out to have one made",
            )
    return text


def _secret(name: str, text: str) -> str:
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise BadEnvironment(name, "holds a control character", "give it without line breaks")
    return text


def _host(name: str, text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        if text == "localhost":
            return "127.0.0.1"
    raise BadEnvironment(name, f"{text!r} is not an IP address", "give the address to listen on, such as 127.0.0.1")


def _integer(lowest: int, highest: int, what: str) -> Callable[[str, str], int]:
    def parse(name: str, text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 12 and lowest <= int(text) <= highest):
            raise BadEnvironment(name, f"{text[:40]!r} is not {what}", f"give a whole number from {lowest} to {highest}")
        return int(text)

    return parse


def _directory(name: str, text: str) -> Path:
    if "\0" in text:
        raise BadEnvironment(name, "holds a NUL character", "give a folder's path")
    try:
        path = Path(text).expanduser().absolute()
    except RuntimeError:
        raise BadEnvironment(name, f"{text!r} begins with an unknown home folder", "give an absolute path") from None
    existing = next(folder for folder in (path, *path.parents) if os.path.lexists(folder))
    if not existing.is_dir():
        raise BadEnvironment(name, f"{str(existing)!r} is not a folder", "give the path of a folder")
    return path


def _file(name: str, text: str) -> Path:
    if "\0" in text:
        raise BadEnvironment(name, "holds a NUL character", "give a file's path")
    path = Path(text).absolute()
    if not path.is_file():
        raise BadEnvironment(name, f"{str(path)!r} is not a file", "give the path of a file, or leave it out")
    return path


def _url(name: str, text: str) -> str:
    remedy = "give http:// or https:// with a host, such as https://ms.example.org"
    try:
        parts = urlsplit(text)
        port_is_fine = parts.port != 0
    except ValueError:
        raise BadEnvironment(name, "is not a URL", remedy) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_fine or " " in text:
        raise BadEnvironment(name, "is not an http or https URL", remedy)
    if parts.username is not None or parts.password is not None:
        raise BadEnvironment(name, "holds a user name or password", "give it without them")
    if parts.query or parts.fragment:
        raise BadEnvironment(name, "holds a query or a fragment", "give only what the paths begin with")
    return text.rstrip("/")


def _database_url(name: str, text: str) -> str:
    remedy = "give postgresql://user:password@host/database, or leave it out for the embedded database"
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        hosts = text.partition("://")[2].partition("/")[0].rpartition("@")[2]
        if "," in hosts and text.startswith(("postgresql://", "postgres://")):
            return text  # several hosts, one of which leads: asyncpg reads them itself
        raise BadEnvironment(name, "is not a URL", remedy) from None
    if parts.scheme not in ("postgresql", "postgres"):
        raise BadEnvironment(name, "is not a PostgreSQL URL", remedy)
    return text


def _timezone(name: str, text: str) -> str:
    try:
        zoneinfo.ZoneInfo(text)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise BadEnvironment(name, f"{text[:40]!r} is not a time zone", "give a name such as Europe/Minsk") from None
    return text


def _networks(name: str, text: str) -> tuple[Network, ...]:
    networks = []
    for part in text.split(","):
        try:
            networks.append(ipaddress.ip_network(part.strip(), strict=False))
        except ValueError:
            raise BadEnvironment(
                name, f"{part.strip()[:60]!r} is not a network", "give networks such as 127.0.0.0/8,10.1.0.0/16"
            ) from None
    return tuple(networks)


def _log_level(name: str, text: str) -> str:
    if text.lower() not in LOG_LEVELS:
        raise BadEnvironment(name, f"{text[:40]!r} is not a level", f"give one of {', '.join(LOG_LEVELS)}")
    return text.lower()


_FIELDS: Final[dict[str, tuple[str, Callable[[str, str], object]]]] = {
    "DATABASE_URL": ("database_url", _database_url),
    "MS_HOST": ("host", _host),
    "MS_PORT": ("port", _integer(1, 65535, "a port")),
    "MS_DATA_DIR": ("data_dir", _directory),
    "MS_PUBLIC_URL": ("public_url", _url),
    "MS_PHONE_API_URL": ("phone_api_url", _url),
    "MS_MAIN_API_URL": ("main_api_url", _url),
    "MS_TIMEZONE": ("timezone", _timezone),
    "MS_API_TIMEZONE": ("api_timezone", _timezone),
    "MS_ADMIN_TOKEN": ("admin_token", _secret),
    "MS_ADMIN_PASSWORD": ("admin_password", _secret),
    "MS_SECRET_KEY": ("secret_key", _secret_key),
    "MS_INTERNAL_TOKEN": ("internal_token", _secret),
    "MS_INTERNAL_NETWORKS": ("internal_networks", _networks),
    "MS_ASTERISK_API_URL": ("asterisk_api_url", _url),
    "MS_PBX_FILE": ("pbx_file", _file),
    "MS_LOG_LEVEL": ("log_level", _log_level),
    "MS_CALL_MAX_S": ("call_max_s", _integer(1, 7 * 86_400, "a number of seconds")),
}
