"""``MS_PBX_FILE``: which Asterisks to connect to, and how (docs/asterisk.md shows one whole).

A value that cannot be understood stops the start with one line that names it (``BadEnvironment``). Secrets are never repeated.
"""

from __future__ import annotations

import re
import stat
import string
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import structlog

from adapters.environment import BadEnvironment
from adapters.later import later

if TYPE_CHECKING:
    from core import ami
else:
    ami = later("core.ami")

log = structlog.get_logger("pbx")

VARIABLE: Final = "MS_PBX_FILE"
MAX_FILE: Final = 1_048_576
MAX_PBXES: Final = 200
"""One instance may come to hold the connections of all."""

MAX_TRUNKS: Final = 500
NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_REMEDY: Final = "docs/asterisk.md shows a whole file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How the manager's certificate is verified: against ``ca`` (a file; empty: the system's), for ``name`` (empty: the host's)."""

    ca: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Originate:
    """How a click becomes an ``Originate``. Templates: ``{extension}``, ``{number}`` (with its plus), ``{digits}`` (without).

    ``timeout_s``: how long the employee's telephone rings.
    """

    channel: str = "PJSIP/{extension}"
    context: str = "from-internal"
    exten: str = "{digits}"
    caller_id: str = "{digits} <{extension}>"
    timeout_s: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class PbxConfig:
    """One Asterisk. ``pbx``: what its messages are translated by. ``originate``: None, no calls are ordered here."""

    pbx: ami.Pbx
    host: str
    port: int = 5038
    user: str = ""
    secret: str = field(default="", repr=False)
    tls: Tls | None = None
    originate: Originate | None = None

    @property
    def where(self) -> str:
        """Its address, for people."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def load(path: Path | None) -> tuple[PbxConfig, ...]:
    """The connections of the file; none when there is no file. Raises BadEnvironment."""
    if path is None:
        return ()
    try:
        if path.stat().st_size > MAX_FILE:
            _bad(f"{path} has more than {MAX_FILE} bytes", _REMEDY)
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        secrets_are_open = bool(path.stat().st_mode & stat.S_IROTH)
    except OSError as error:
        _bad(f"{path} cannot be read ({error.strerror or type(error).__name__})", "name a readable file, or leave it out")
    except UnicodeDecodeError:
        _bad(f"{path} is not UTF-8", "save it as UTF-8")
    except tomllib.TOMLDecodeError as error:
        _bad(f"{path} is not TOML: {_without_values(error)}", _REMEDY)
    _only(document, {"pbx"}, "the file")
    entries = document.get("pbx", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        _bad("pbx is not a list of tables", "begin each with [[pbx]]")
    if len(entries) > MAX_PBXES:
        _bad(f"more than {MAX_PBXES} [[pbx]]", "spread them over several installations")
    found = tuple(_Entry(entry, number, path.parent).read() for number, entry in enumerate(entries, 1))
    names = [each.pbx.name for each in found]
    for name in names:
        if names.count(name) > 1:
            _bad(f"two [[pbx]] have the name {name!r}", "give each its own")
    places = [each.where.lower() for each in found]
    for each in found:
        if places.count(each.where.lower()) > 1:
            _bad(f"two [[pbx]] connect to {each.where}", "one Asterisk belongs to one enterprise: leave one of them out")
    if secrets_are_open and any("secret" in entry for entry in entries):
        log.warning("pbx_file_readable_by_others", file=str(path), remedy=f"chmod o-r {path}")
    return found


class _Entry:
    """Reads one ``[[pbx]]``; every complaint says which one and which key."""

    def __init__(self, entry: Mapping[str, Any], number: int, folder: Path) -> None:
        self._entry = entry
        self._folder = folder
        name = entry.get("name")
        self._who = f"pbx {name!r}" if isinstance(name, str) and NAME.fullmatch(name) else f"the {number}. [[pbx]]"

    def read(self) -> PbxConfig:
        """The connection. Raises BadEnvironment."""
        entry = self._entry
        _only(entry, KEYS, self._who)
        name = self._text("name")
        if NAME.fullmatch(name) is None:
            self._bad("name", "is not a name", "letters, digits, dot, dash and underscore, 64 at most")
        return PbxConfig(
            pbx=ami.Pbx(
                name=name,
                enterprise=self._text("enterprise"),
                trunks=self._trunks(),
                extensions=self._pattern("extensions"),
            ),
            host=self._text("host", "127.0.0.1"),
            port=self._integer(entry, "port", 5038, 1, 65_535),
            user=self._text("user"),
            secret=self._secret(),
            tls=self._tls(),
            originate=self._originate(),
        )

    def _text(self, key: str, default: str = "") -> str:
        return self._checked(self._entry, key, default)

    def _checked(self, table: Mapping[str, Any], key: str, default: str = "", within: str = "") -> str:
        said = table.get(key, default)
        if not isinstance(said, str) or any(ord(character) < 32 for character in said) or len(said) > 512:
            self._bad(within + key, "is not a text of one line", f'write {key} = "…"')
        if not said and not default and key in REQUIRED:
            self._bad(within + key, "is missing", f'add {key} = "…"; {_REMEDY}')
        return said or default

    def _integer(self, table: Mapping[str, Any], key: str, default: int, lowest: int, highest: int, within: str = "") -> int:
        said = table.get(key, default)
        if isinstance(said, bool) or not isinstance(said, int) or not lowest <= said <= highest:
            self._bad(within + key, "is not understood", f"write a whole number from {lowest} to {highest}")
        return said

    def _trunks(self) -> tuple[str, ...]:
        said = self._entry.get("trunks", [])
        if not isinstance(said, list) or not all(isinstance(each, str) and each.strip() for each in said):
            self._bad("trunks", "is not a list of names", 'write trunks = ["…", "…"]')
        if len(said) > MAX_TRUNKS:
            self._bad("trunks", f"has more than {MAX_TRUNKS} names", "name only the trunks")
        return tuple(each.strip() for each in said)

    def _pattern(self, key: str) -> str:
        said = self._text(key)
        try:
            re.compile(said)
        except re.error as error:
            self._bad(key, f"is not a regular expression ({error.msg})", "correct it, or leave it out: 2 to 6 digits")
        return said

    def _secret(self) -> str:
        if ("secret" in self._entry) == ("secret_file" in self._entry):
            self._bad("secret", "or secret_file: exactly one is needed", 'write secret = "…", or secret_file = "a path"')
        if "secret" in self._entry:
            said = self._text("secret")
        else:
            path = self._folder / self._text("secret_file")
            try:
                said = path.read_text(encoding="utf-8").strip()
                if path.stat().st_mode & stat.S_IROTH:
                    log.warning("pbx_file_readable_by_others", file=str(path), remedy=f"chmod o-r {path}")
            except (OSError, UnicodeDecodeError) as error:
                self._bad("secret_file", f"{path} cannot be read ({type(error).__name__})", "name a readable file")
        if not said or any(ord(character) < 32 for character in said):
            self._bad("secret", "is empty or has several lines", "one line, as in manager.conf")
        return said

    def _tls(self) -> Tls | None:
        said = self._entry.get("tls", False)
        if isinstance(said, bool):
            return Tls() if said else None
        if not isinstance(said, dict):
            self._bad("tls", "is not understood", 'write true, false, or {ca = "a file", name = "the certificate\'s name"}')
        _only(said, {"ca", "name"}, f"tls of {self._who}")
        ca = self._checked(said, "ca", within="tls.")
        if ca and not (self._folder / ca).is_file():
            self._bad("tls.ca", f"{self._folder / ca} is not a file", "name the file of the certificate authority")
        return Tls(ca=str(self._folder / ca) if ca else "", name=self._checked(said, "name", within="tls."))

    def _originate(self) -> Originate | None:
        said = self._entry.get("originate")
        if said is None:
            return None
        if not isinstance(said, dict):
            self._bad("originate", "is not a table", 'write originate = {context = "from-internal"}')
        given = {"channel", "context", "exten", "caller_id", "timeout_s"}
        _only(said, given, f"originate of {self._who}")
        plain = Originate()
        texts = {
            key: self._template(key, self._checked(said, key, getattr(plain, key), within="originate."))
            for key in ("channel", "context", "exten", "caller_id")
        }
        return Originate(**texts, timeout_s=self._integer(said, "timeout_s", plain.timeout_s, 5, 120, "originate."))

    def _template(self, key: str, text: str) -> str:
        try:
            fields = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
        except ValueError:
            fields = {"{"}
        if not fields <= {"extension", "number", "digits"}:
            self._bad(f"originate.{key}", "is no template", "use {extension}, {number} and {digits}")
        if key == "channel" and "extension" not in fields:
            self._bad("originate.channel", "rings the same telephone for everybody", 'write channel = "PJSIP/{extension}"')
        return text

    def _bad(self, key: str, problem: str, remedy: str) -> NoReturn:
        _bad(f"{self._who}: {key} {problem}", remedy)


REQUIRED: Final = frozenset({"name", "enterprise", "user"})
KEYS: Final = REQUIRED | {"host", "port", "secret", "secret_file", "tls", "trunks", "extensions", "originate"}


def _only(table: Mapping[str, Any], known: Sequence[str] | set[str] | frozenset[str], where: str) -> None:
    for key in table:
        if key not in known:
            _bad(f"{where} has a key {key[:40]!r} that nobody knows", f"there are {', '.join(sorted(known))}")


def _without_values(error: tomllib.TOMLDecodeError) -> str:
    """The parser's words: they say where, and never repeat a value."""
    return str(error)


def _bad(problem: str, remedy: str) -> NoReturn:
    raise BadEnvironment(VARIABLE, problem, remedy)
