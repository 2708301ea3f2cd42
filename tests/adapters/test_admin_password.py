"""The operator's password: given or made once, compared whole, never in the log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters import admin_password
from adapters.admin_password import AdminPassword, load_or_create_password
from adapters.environment import BadEnvironment, Environment
from tests.conftest import COST_IN_SERVICE


def environment(folder: Path, password: str | None = None) -> Environment:
    return Environment(data_dir=folder, admin_password=password)


def test_the_variable_rules(tmp_path: Path) -> None:
    assert load_or_create_password(environment(tmp_path, "given")) == "given"
    assert list(tmp_path.iterdir()) == []


def test_without_it_one_is_made_once_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []
    monkeypatch.setattr(admin_password.log, "info", lambda event, **facts: said.append((event, facts)))
    made = load_or_create_password(environment(tmp_path / "new"))
    file = tmp_path / "new" / admin_password.PASSWORD_FILE
    assert (file.read_text().strip(), file.stat().st_mode & 0o777) == (made, 0o600)
    assert len(made) >= 24
    assert said == [("admin_password_made", {"file": str(file)})], "where it is, not what it is"
    assert load_or_create_password(environment(tmp_path / "new")) == made
    assert len(said) == 1


def test_a_file_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / admin_password.PASSWORD_FILE).write_text("\n")
    with pytest.raises(BadEnvironment, match=r"MS_ADMIN_PASSWORD.*is empty"):
        load_or_create_password(environment(tmp_path))
    (tmp_path / admin_password.PASSWORD_FILE).unlink()
    (tmp_path / admin_password.PASSWORD_FILE).mkdir()
    with pytest.raises(BadEnvironment, match=r"MS_ADMIN_PASSWORD.*cannot be used"):
        load_or_create_password(environment(tmp_path))


def test_a_try_costs_what_guessing_cannot_afford() -> None:
    assert COST_IN_SERVICE["n"] * COST_IN_SERVICE["r"] * 128 >= 32 * 1024**2


async def test_only_the_whole_password_matches() -> None:
    password = AdminPassword("пароль 1")
    assert await password.matches("пароль 1")
    for wrong in ("", "пароль", "пароль 1 ", "пароль 12", "\ud800", "x" * 100_000):
        assert not await password.matches(wrong)


def test_another_password_is_another_key_and_neither_shows_it() -> None:
    one, same, other = AdminPassword("one"), AdminPassword("one"), AdminPassword("other")
    assert one.session_key == same.session_key != other.session_key
    assert b"one" not in one.session_key
    assert "one" not in repr(vars(one))
