"""``MS_PBX_FILE``: what it gives, and one line for each way of getting it wrong; a secret is never in one."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog

from adapters.asterisk.config import Originate, PbxConfig, Tls, load
from adapters.environment import BadEnvironment

SECRET = "fictional-secret-17"
LEAST = f"""
[[pbx]]
name = "main"
enterprise = "0367"
user = "ms"
secret = "{SECRET}"
"""
WHOLE = f"""
[[pbx]]
name = "main"
enterprise = "0367"
host = "pbx.example.org"
port = 5039
user = "ms"
secret = "{SECRET}"
tls = {{name = "asterisk"}}
trunks = ["trunk-alpha", "DAHDI/i1"]
extensions = "^1[0-9]{{2}}$"
originate = {{channel = "SIP/{{extension}}", context = "office", exten = "9{{digits}}", caller_id = "{{number}}", timeout_s = 20}}
"""


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "pbx.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_no_file_is_no_connection(tmp_path: Path) -> None:
    assert load(None) == ()
    assert load(written(tmp_path, "")) == ()


def test_the_least_and_the_whole(tmp_path: Path) -> None:
    (least,) = load(written(tmp_path, LEAST))
    assert (least.pbx.name, least.pbx.enterprise, least.where, least.user) == ("main", "0367", "127.0.0.1:5038", "ms")
    assert (least.secret, least.tls, least.originate, least.pbx.trunks) == (SECRET, None, None, ())
    (whole,) = load(written(tmp_path, WHOLE))
    assert (whole.where, whole.pbx.trunks, whole.pbx.extensions) == (
        "pbx.example.org:5039",
        ("trunk-alpha", "DAHDI/i1"),
        "^1[0-9]{2}$",
    )
    assert whole.tls == Tls(name="asterisk")
    assert whole.originate == Originate(
        channel="SIP/{extension}", context="office", exten="9{digits}", caller_id="{number}", timeout_s=20
    )


def test_a_secret_may_be_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    (found,) = load(written(tmp_path, LEAST.replace(f'secret = "{SECRET}"', 'secret_file = "secret"')))
    assert found.secret == SECRET


def test_a_secret_is_not_in_the_repr(tmp_path: Path) -> None:
    (found,) = load(written(tmp_path, LEAST))
    assert SECRET not in repr(found)
    assert isinstance(found, PbxConfig)


@pytest.mark.parametrize(("mode", "told"), [(0o600, False), (0o640, False), (0o644, True)])
def test_a_secret_that_others_can_read_is_told_of(tmp_path: Path, mode: int, told: bool) -> None:
    with structlog.testing.capture_logs() as logs:
        load(written(tmp_path, LEAST, mode))
    assert any(entry["event"] == "pbx_file_readable_by_others" for entry in logs) is told


def without(line: str) -> str:
    return "\n".join(each for each in LEAST.splitlines() if not each.startswith(line))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[pbx", "is not TOML"),
        ("pbx = 1", "pbx is not a list of tables"),
        ("[pbxes]", "the file has a key 'pbxes' that nobody knows"),
        (LEAST + "colour = 1", "pbx 'main' has a key 'colour' that nobody knows"),
        (LEAST + LEAST, "two [[pbx]] have the name 'main'"),
        (LEAST + LEAST.replace('"main"', '"other"'), "two [[pbx]] connect to 127.0.0.1:5038"),
        (without("name"), "the 1. [[pbx]]: name is missing"),
        (LEAST.replace('"main"', '"два слова"'), "name is not a name"),
        (without("enterprise"), "enterprise is missing"),
        (without("user"), "user is missing"),
        (without("secret"), "secret or secret_file: exactly one is needed"),
        (LEAST + 'secret_file = "x"', "secret or secret_file: exactly one is needed"),
        (LEAST.replace(f'"{SECRET}"', '""'), "secret is empty"),
        (without("secret") + '\nsecret_file = "nowhere"', "secret_file"),
        (LEAST + "port = 0", "port is not understood"),
        (LEAST + 'port = "5038"', "port is not understood"),
        (LEAST + "host = 5", "host is not a text"),
        (LEAST + 'trunks = "a"', "trunks is not a list"),
        (LEAST + 'trunks = [""]', "trunks is not a list"),
        (LEAST + 'extensions = "("', "extensions is not a regular expression"),
        (LEAST + 'tls = "yes"', "tls is not understood"),
        (LEAST + 'tls = {ca = "nowhere.pem"}', "tls.ca"),
        (LEAST + "originate = true", "originate is not a table"),
        (LEAST + 'originate = {chanel = "x"}', "originate of pbx 'main' has a key 'chanel'"),
        (LEAST + 'originate = {channel = "PJSIP/101"}', "rings the same telephone for everybody"),
        (LEAST + 'originate = {exten = "{secret}"}', "originate.exten is no template"),
        (LEAST + 'originate = {exten = "{"}', "originate.exten is no template"),
        (LEAST + "originate = {timeout_s = 1}", "originate.timeout_s is not understood"),
    ],
)
def test_what_cannot_be_understood_is_one_line_without_the_secret(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadEnvironment) as caught:
        load(written(tmp_path, text))
    line = str(caught.value)
    assert line.startswith("MS_PBX_FILE: ")
    assert words in line
    assert "\n" not in line
    assert SECRET not in line


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadEnvironment, match="cannot be read"):
        load(tmp_path / "nowhere.toml")
    (tmp_path / "pbx.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadEnvironment, match="not UTF-8"):
        load(tmp_path / "pbx.toml")
