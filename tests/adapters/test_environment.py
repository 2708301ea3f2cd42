"""Every variable is understood, or refused in one line that names it and gives no secret away."""

from __future__ import annotations

import ipaddress
import threading
from pathlib import Path

import pytest
from cryptography.fernet import Fernet, MultiFernet

from adapters import environment as module
from adapters.environment import BadEnvironment, Environment, load_or_create_secret_key


def test_nothing_given_is_the_documented_default() -> None:
    told = Environment.from_env({})
    assert (told.host, told.port, told.database_url) == ("127.0.0.1", 8023, None)
    assert (told.timezone, told.api_timezone) == ("Europe/Minsk", "Europe/Moscow")
    assert told.data_dir == Path("var").absolute()
    assert told.call_max_s == 7200
    assert told.log_level == "info"
    assert told.phone_api_url == "https://api.moysklad.ru/api/phone/1.0"
    assert told.main_api_url == "https://api.moysklad.ru/api/remap/1.2"
    assert all(network.is_loopback for network in told.internal_networks)


def test_an_empty_variable_counts_as_absent_and_foreign_ones_are_left_alone() -> None:
    given = dict.fromkeys(module._FIELDS, " ") | {"MS_OFFICE": "x", "HOME": "/nowhere"}
    assert Environment.from_env(given) == Environment.from_env({})


def test_every_variable_is_understood() -> None:
    given = {
        "DATABASE_URL": "postgresql://ms:pass@db/ms",
        "MS_HOST": "::",
        "MS_PORT": "8024",
        "MS_DATA_DIR": "/tmp/ms",
        "MS_PUBLIC_URL": "https://ms.example.org/hook/",
        "MS_PHONE_API_URL": "http://127.0.0.1:9000/phone",
        "MS_MAIN_API_URL": "http://127.0.0.1:9000/main",
        "MS_TIMEZONE": "Europe/Warsaw",
        "MS_API_TIMEZONE": "UTC",
        "MS_ADMIN_TOKEN": "an admin token",
        "MS_ADMIN_PASSWORD": "a password",
        "MS_SECRET_KEY": "a long passphrase",
        "MS_INTERNAL_TOKEN": "internal token",
        "MS_INTERNAL_NETWORKS": "127.0.0.1, 10.1.2.3/16,::1",
        "MS_ASTERISK_API_URL": "http://10.0.0.1:8088/ari",
        "MS_PBX_FILE": __file__,
        "MS_LOG_LEVEL": "DEBUG",
        "MS_CALL_MAX_S": "3600",
    }
    assert set(given) == set(module._FIELDS), "a new variable belongs here too"
    told = Environment.from_env(given)
    plain = Environment()
    for attribute, _ in module._FIELDS.values():
        assert getattr(told, attribute) != getattr(plain, attribute), attribute
    assert told.public_url == "https://ms.example.org/hook"
    assert told.internal_networks == tuple(map(ipaddress.ip_network, ("127.0.0.1/32", "10.1.0.0/16", "::1/128")))
    assert told.local_url == "http://[::1]:8024"


BAD = [
    ("DATABASE_URL", "mysql://root:hunter2secret@db/x"),
    ("DATABASE_URL", "hunter2secret"),
    ("DATABASE_URL", "postgresql://ms:hunter2secret@db:port/x"),
    ("MS_HOST", "not a host"),
    ("MS_HOST", "256.0.0.1"),
    ("MS_PORT", "eighty"),
    ("MS_PORT", "0"),
    ("MS_PORT", "65536"),
    ("MS_PORT", "-1"),
    ("MS_PORT", "8023.0"),
    ("MS_PORT", "²"),
    ("MS_PORT", "9" * 5000),
    ("MS_DATA_DIR", "/dev/null/var"),
    ("MS_DATA_DIR", "~no-such-user-here/var"),
    ("MS_PUBLIC_URL", "ms.example.org"),
    ("MS_PUBLIC_URL", "ftp://ms.example.org"),
    ("MS_PUBLIC_URL", "https://"),
    ("MS_PUBLIC_URL", "https://admin:hunter2secret@ms.example.org"),
    ("MS_PUBLIC_URL", "https://ms.example.org/?token=hunter2secret"),
    ("MS_PHONE_API_URL", "https://[::1"),
    ("MS_MAIN_API_URL", "https://host:port"),
    ("MS_ASTERISK_API_URL", "10.0.0.1:8088"),
    ("MS_TIMEZONE", "Minsk"),
    ("MS_TIMEZONE", "../../../etc/passwd"),
    ("MS_API_TIMEZONE", "Europe"),
    ("MS_ADMIN_TOKEN", "hunter2secret\nsecond line"),
    ("MS_ADMIN_PASSWORD", "hunter2secret\x00"),
    ("MS_INTERNAL_TOKEN", "hunter2secret\rx"),
    ("MS_SECRET_KEY", "hunter2"),
    ("MS_SECRET_KEY", "hunter2secret,"),
    ("MS_INTERNAL_NETWORKS", "localhost"),
    ("MS_INTERNAL_NETWORKS", "127.0.0.1,,::1"),
    ("MS_INTERNAL_NETWORKS", "10.0.0.0/33"),
    ("MS_PBX_FILE", "/nowhere/pbx.toml"),
    ("MS_PBX_FILE", "/dev/null"),
    ("MS_PBX_FILE", "pbx\0.toml"),
    ("MS_LOG_LEVEL", "loud"),
    ("MS_CALL_MAX_S", "2h"),
    ("MS_CALL_MAX_S", "0"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_one_line_with_name_problem_and_remedy(name: str, value: str) -> None:
    with pytest.raises(BadEnvironment) as caught:
        Environment.from_env({name: value})
    line = str(caught.value)
    assert caught.value.name == name
    assert line.startswith(f"{name}: ")
    assert "; " in line
    assert "\n" not in line
    assert len(line) < 300
    assert "hunter2" not in line


def test_every_variable_that_can_be_bad_is_tried() -> None:
    assert {name for name, _ in BAD} == set(module._FIELDS)


def test_a_database_with_a_standby_is_understood() -> None:
    url = "postgresql://ms:pass@one:5432,two:5433/ms?target_session_attrs=primary"
    assert Environment.from_env({"DATABASE_URL": url}).database_url == url


def test_repr_shows_no_secret() -> None:
    hidden = ["MS_ADMIN_TOKEN", "MS_ADMIN_PASSWORD", "MS_SECRET_KEY", "MS_INTERNAL_TOKEN"]
    given = dict.fromkeys(hidden, "hunter2secret") | {"DATABASE_URL": "postgresql://ms:hunter2secret@db/ms"}
    assert "hunter2" not in repr(Environment.from_env(given))


def test_the_first_key_encrypts_and_all_decrypt() -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    before = MultiFernet([Fernet(key) for key in load_or_create_secret_key(Environment(secret_key=old))])
    token = before.encrypt(b"kept")
    rotated = load_or_create_secret_key(Environment(secret_key=f"{new}, {old}"))
    assert rotated == (new.encode(), old.encode())
    assert MultiFernet([Fernet(key) for key in rotated]).decrypt(token) == b"kept"


def test_a_passphrase_gives_the_same_key_everywhere_and_another_gives_another() -> None:
    once, again, other = (
        load_or_create_secret_key(Environment(secret_key=text)) for text in ("correct horse", "correct horse", "battery staple")
    )
    assert once == again != other
    Fernet(once[0])


def test_a_made_key_is_kept_private(tmp_path: Path) -> None:
    environment = Environment(data_dir=tmp_path / "var")
    (key,) = load_or_create_secret_key(environment)
    path = tmp_path / "var" / module.SECRET_KEY_FILE
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_create_secret_key(environment) == (key,)
    Fernet(key)


def test_several_processes_starting_at_once_agree_on_one_key(tmp_path: Path) -> None:
    environment = Environment(data_dir=tmp_path)
    gate = threading.Barrier(8)
    keys: list[tuple[bytes, ...]] = []

    def start() -> None:
        gate.wait()
        keys.append(load_or_create_secret_key(environment))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1


def test_a_making_that_was_killed_half_way_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / f".{module.SECRET_KEY_FILE}.unfinished").write_bytes(b"half a k")
    (key,) = load_or_create_secret_key(Environment(data_dir=tmp_path))
    Fernet(key)


@pytest.mark.parametrize("content", ["", "not a key\n", "hunter2secret"])
def test_a_damaged_key_file_is_never_replaced(tmp_path: Path, content: str) -> None:
    path = tmp_path / module.SECRET_KEY_FILE
    path.write_text(content)
    with pytest.raises(BadEnvironment, match="does not hold a key") as caught:
        load_or_create_secret_key(Environment(data_dir=tmp_path))
    assert path.read_text() == content
    assert "hunter2" not in str(caught.value)


def test_a_data_folder_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadEnvironment, match="cannot be used"):
        load_or_create_secret_key(Environment(data_dir=tmp_path / "file"))
