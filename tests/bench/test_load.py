"""The load: bodies that keep their length, calls that differ, and a plan that comes to the rate and the number of live calls."""

from __future__ import annotations

from itertools import islice
from typing import Any

import orjson
import pytest

from bench.load import SHAPE, blanks, endless, events_a_call, external_id, length_s, planned
from bench.work import KINDS, PBX_ZONE, SEQUENCE
from core.events import safe_id
from core.naming import path_safe
from core.signals import Wire, envelope, parse


def body_of(request: bytes) -> dict[str, Any]:
    head, _, body = request.partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(body) in head, "a filled body is as long as was said"
    found: dict[str, Any] = orjson.loads(body)
    return found


@pytest.mark.parametrize("kind", sorted(SHAPE))
def test_every_signal_is_understood_and_the_service_calls_the_call_as_expected(kind: str) -> None:
    made = blanks("m", kind, 1_795_436_912.0)
    assert len(made) == len(SHAPE[kind])
    for place, blank in enumerate(made):
        body = body_of(blank.filled(1_234_567, 20, 3, place))
        assert body["event"] == blank.event
        assert body[SEQUENCE] == f"0003:{place:09}"
        heard = parse(envelope(Wire.CALL_EVENT, body), heard_ms=1_795_436_920_000, country="BY", zone=PBX_ZONE)
        if heard.stream.startswith("call/"):
            call = heard.stream.removeprefix("call/")
            assert f"{path_safe(body['enterprise_number'])}-{safe_id(call)}" == external_id("m", 1_234_567, 20)


def test_a_line_of_a_stream_is_one_line() -> None:
    for blank in blanks("m", "answered", 0.0, lines=True):
        filled = blank.filled(1, 1, 1, 1)
        assert filled.count(b"\n") == 1
        assert orjson.loads(filled)["event"] == blank.event


def test_signals_of_two_calls_are_never_the_same() -> None:
    made = [blank.filled(offset, 5, 0, place) for place, (offset, blank) in enumerate(islice(endless("m", 0.0), 300))]
    assert len({orjson.dumps({**body_of(each), SEQUENCE: ""}) for each in made}) == 300


def test_the_plan_comes_to_its_rate_with_its_live_calls() -> None:
    """After the warming-up as many calls end as begin."""
    per_s, live, seconds = 200, 40, 20.0
    signals = planned("m", per_s=per_s, live=live, seconds=seconds, enterprises=7, start_s=0.0, kinds=("answered",))
    assert signals == sorted(signals, key=lambda each: each.at_s)
    warm = length_s(per_s=per_s, live=live, kinds=("answered",))
    later = [each for each in signals if each.at_s >= warm]
    assert len(later) / (seconds - warm) == pytest.approx(per_s, rel=0.05)
    begun = {each.nth for each in signals if each.event == "start" and each.at_s <= 15.0}
    ended = {each.nth for each in signals if each.event == "hangup" and each.at_s <= 15.0}
    assert len(begun - ended) == pytest.approx(live, rel=0.1)


def test_each_call_s_signals_are_planned_in_the_pbx_s_order() -> None:
    signals = planned("m", per_s=100, live=10, seconds=10.0, enterprises=3, start_s=0.0)
    for nth in {each.nth for each in signals}:
        whole = [blank.event for blank in blanks("m", KINDS[nth % len(KINDS)], 0.0)]
        mine = [each.event for each in signals if each.nth == nth]
        assert mine == whole[: len(mine)]


def test_a_mixed_call_has_some_seven_signals() -> None:
    assert events_a_call() == pytest.approx(7.1)
