"""What ``doctor`` finds when it tries a connection."""

from __future__ import annotations

from dataclasses import replace

from adapters.asterisk.config import Tls
from adapters.asterisk.trial import cautions, try_login
from core.ami import Pbx
from tests.adapters.asterisk.peer import SECRET, Manager, config_of, listening


def now_ms() -> int:
    return 0


async def test_one_that_works() -> None:
    async with listening(Manager(channels=[{"Channel": "PJSIP/101-1"}])) as manager:
        said, problem = await try_login(config_of(manager), now_ms)
        assert problem == ""
        assert said.endswith("lets 'ms' in (Asterisk Call Manager/5.0.4); 1 channels are up")
        assert manager.asked("Login")[0]["Events"] == "off"


async def test_those_that_do_not() -> None:
    async with listening(Manager(lets_in=False)) as manager:
        said, problem = await try_login(config_of(manager), now_ms)
        assert said == ""
        assert "refuses the login of 'ms'" in problem
        assert SECRET not in problem
    async with listening(Manager(lists_channels=False)) as manager:
        assert "add reporting to write=" in (await try_login(config_of(manager), now_ms))[1]
    assert "nobody listens" in (await try_login(config_of(manager), now_ms))[1]


def test_what_is_probably_not_meant() -> None:
    config = config_of(Manager())
    assert list(cautions(config)) == []
    careless = replace(config, pbx=Pbx(name="x", enterprise="0367"), host="pbx.example.org", originate=None)
    assert [said.split(":")[0] for said in cautions(careless)] == [
        "no trunks are named",
        "no originate",
        "pbx.example.org is reached without TLS",
    ]
    assert len(list(cautions(replace(careless, tls=Tls())))) == 2
