"""Secrets at rest: readable with the right key, old keys included, and with no other; what was never encrypted is read as it is."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from adapters.vault import PREFIX, Vault, WrongKey, is_encrypted

OLD, NEW, OTHER = (Fernet.generate_key() for _ in range(3))
SECRET = "fictional-api-token-3c4d"


def test_a_secret_is_not_in_what_is_stored_and_comes_back() -> None:
    stored = Vault([NEW]).encrypt(SECRET)
    assert stored.startswith(PREFIX)
    assert SECRET not in stored
    assert Vault([NEW]).decrypt(stored) == SECRET


def test_the_same_secret_is_stored_differently_each_time() -> None:
    assert Vault([NEW]).encrypt(SECRET) != Vault([NEW]).encrypt(SECRET)


def test_a_key_may_be_rotated() -> None:
    stored = Vault([OLD]).encrypt(SECRET)
    assert Vault([NEW, OLD]).decrypt(stored) == SECRET
    assert Vault([NEW]).decrypt(Vault([NEW, OLD]).encrypt(SECRET)) == SECRET


def test_another_key_is_an_error_in_words_that_names_no_secret() -> None:
    stored = Vault([OLD]).encrypt(SECRET)
    with pytest.raises(WrongKey) as caught:
        Vault([OTHER]).decrypt(stored)
    assert "MS_SECRET_KEY" in str(caught.value)
    assert stored not in str(caught.value)


@pytest.mark.parametrize("damaged", [PREFIX, PREFIX + "x", PREFIX + "ключ"])
def test_a_damaged_secret_is_the_same_error(damaged: str) -> None:
    with pytest.raises(WrongKey):
        Vault([NEW]).decrypt(damaged)


@given(st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: not text.startswith(PREFIX)))
def test_what_others_wrote_plainly_is_read_as_it_is(text: str) -> None:
    vault = Vault([NEW])
    assert vault.decrypt(text) == text
    assert vault.decrypt(vault.encrypt(text)) == text
    assert vault.encrypt(vault.encrypt(text)) == text or vault.decrypt(vault.encrypt(vault.encrypt(text))) == text


def test_every_secret_field_is_encrypted_and_nothing_else() -> None:
    config = {"enabled": True, "integration_code": "k-1", "api_token": "", "deep": {"other_token": "t-1", "name": "n"}}
    vault = Vault([NEW])
    stored = vault.encrypt_fields(config)
    assert is_encrypted(stored["integration_code"])
    assert is_encrypted(stored["deep"]["other_token"])
    assert (stored["enabled"], stored["api_token"], stored["deep"]["name"]) == (True, "", "n")
    assert vault.decrypt_fields(stored) == config


def test_a_lost_key_leaves_the_rest_readable() -> None:
    stored = Vault([OLD]).encrypt_fields({"enabled": True, "api_token": SECRET})
    read = Vault([OTHER]).decrypt_fields(stored)
    assert read == stored
    assert is_encrypted(read["api_token"])
