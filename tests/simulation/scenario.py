"""What happens in one simulated run, as a value: who called whom, how it was delivered, what broke when.

The same scenario always gives the same run. ``from_seed`` makes one from a number; ``scenarios()`` draws one for
Hypothesis over the same fields, all of them arranged so that smaller means simpler.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, Final

from hypothesis import strategies as st

from tests.moysklad_model import Repeated
from tests.playback import NAMES
from tests.simulation.stories import EXTENSIONS, MOBILE, OWN, Act, Step, Story, Telling

__all__ = ["EXTENSIONS"]
RECORDINGS: Final = tuple(name for name in NAMES if not name.startswith("production"))
NO_STORY: Final = Story()
MAX_CALLS: Final = 4
MAX_NODES: Final = 3
MAX_ENTERPRISES: Final = 2


class Kind(StrEnum):
    """Whose idea a call was, or the recording it is played from."""

    INCOMING = "incoming"
    OUTGOING = "outgoing"
    INTERNAL = "internal"
    RECORDING = "recording"
    STORY = "story"


class Transfer(StrEnum):
    """What becomes of the customer after the first talk."""

    NONE = "none"
    BLIND = "blind"
    BLIND_UNANSWERED = "blind unanswered"
    ATTENDED = "attended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What people did in one call. Times in ms; extensions and numbers by index.

    ``pauses``: between one thing and the next, used in turn. ``recording``: index into RECORDINGS, for that kind.
    ``downloaded``: a copy of the hangup comes again so much later, from the PBX's archive (0: none). ``story``: for that kind, with
    the number and who enters a bridge first; it has all else itself.
    """

    kind: Kind = Kind.INCOMING
    at_ms: int = 0
    enterprise: int = 0
    number: int = 0
    rings: tuple[tuple[int, ...], ...] = ((0,),)
    pauses: tuple[int, ...] = (2_000,)
    answered: bool = False
    first: int = 0
    target: int = 1
    transfer: Transfer = Transfer.NONE
    customer_first: bool = False
    recorded: bool = False
    downloaded_ms: int = 0
    recording: int = 0
    story: Story = NO_STORY


class Trouble(StrEnum):
    """What breaks. Those of a node first, then MoySklad's (for one enterprise or all), then the database's."""

    CRASH = "crash"
    RESTART = "restart"
    FREEZE = "freeze"
    CUT_FROM_DATABASE = "cut from database"
    CUT_FROM_MOYSKLAD = "cut from MoySklad"
    DOWN = "MoySklad down"
    HANGS = "MoySklad hangs"
    SLOW = "MoySklad slow"
    ERRORS = "MoySklad 503"
    ERRORS_AFTER = "MoySklad 500 after acting"
    LIMITED = "MoySklad 429"
    LOST_BEFORE = "requests lost"
    LOST_AFTER = "answers lost"
    WRONG_KEY = "wrong key"
    DATABASE_DOWN = "database down"
    DATABASE_SLOW = "database slow"


OF_A_NODE: Final = (Trouble.CRASH, Trouble.RESTART, Trouble.FREEZE, Trouble.CUT_FROM_DATABASE, Trouble.CUT_FROM_MOYSKLAD)
OF_MOYSKLAD: Final = (
    Trouble.DOWN,
    Trouble.HANGS,
    Trouble.SLOW,
    Trouble.ERRORS,
    Trouble.ERRORS_AFTER,
    Trouble.LIMITED,
    Trouble.LOST_BEFORE,
    Trouble.LOST_AFTER,
    Trouble.WRONG_KEY,
)
OF_THE_DATABASE: Final = (Trouble.DATABASE_DOWN, Trouble.DATABASE_SLOW)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something breaks at ``at_ms`` for ``for_ms``. ``where``: which node, or which enterprise's MoySklad."""

    trouble: Trouble
    at_ms: int
    for_ms: int
    where: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One run. Chances are per mille; 0 everywhere is a quiet day.

    ``noise`` seeds every latency and every chance. ``lag_ms``: all deliveries lag up to so much behind, each call's together;
    ``jitter_ms``: each signal by itself, so that they overtake each other; ``twice``, ``lost``: delivered twice, never.
    ``broken``: a request to MoySklad meets an accident; ``store_broken``: a word with the database does.
    ``patience_ms``: the latency of a slow MoySklad. ``backlog``: calls of enterprise 0 that ended before all this, downloaded now.
    ``tight``: MoySklad allows the Phone API a tenth of what it does. ``refused``: nobody may name the employee of extension 103.
    ``unmapped``: that extension is not in the settings, so the directory has to be asked. ``shared``: both enterprises have one
    MoySklad account. ``skew_ms``: the nodes' clocks are off by up to so much. ``after``: the settings ask for orders and tasks.
    """

    noise: int = 0
    nodes: int = 1
    calls: tuple[Script, ...] = (Script(),)
    faults: tuple[Fault, ...] = ()
    repeated: Repeated = Repeated.REFUSED
    lag_ms: int = 0
    jitter_ms: int = 0
    twice: int = 0
    lost: int = 0
    broken: int = 0
    store_broken: int = 0
    slow_ms: int = 2_000
    backlog: int = 0
    tight: bool = False
    refused: bool = False
    unmapped: bool = False
    shared: bool = False
    skew_ms: int = 0
    after: bool = False

    def __str__(self) -> str:
        """As it is written in Python, without what is as usual."""
        return _told(self)


def _told(value: object) -> str:
    if isinstance(value, tuple):
        return "(" + "".join(f"{_told(each)}, " for each in value).rstrip() + ")"
    if isinstance(value, StrEnum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, Scenario | Script | Fault | Story | Step):
        said = [f"{each.name}={_told(got)}" for each in fields(value) if (got := getattr(value, each.name)) != each.default]
        return f"{type(value).__name__}({', '.join(said)})"
    return repr(value)


# -- from a number ------------------------------------------------------------------------------------------------


def from_seed(seed: int) -> Scenario:
    """The scenario of a seed: half of them small; some on a quiet day, where the truth is told; some where one node takes over from
    another in the middle of a call, or in the middle of a backlog that fills the limits.
    """
    rng = random.Random(seed)
    kind = rng.choices(("small", "any", "hand-over", "crowd", "quiet"), (7, 5, 3, 2, 6))[0]
    if kind == "quiet":
        return _quiet(rng)
    if kind == "hand-over":
        return _hand_over(rng)
    if kind == "crowd":
        return _crowd(rng)
    small = kind == "small"
    nodes = 1 if small else rng.randint(1, MAX_NODES)
    enterprises = 1 if small or rng.random() < 0.6 else MAX_ENTERPRISES
    calls = tuple(_script(rng, enterprises) for _ in range(rng.randint(1, 2 if small else MAX_CALLS)))
    rough = rng.random() < 0.8
    return Scenario(
        noise=rng.getrandbits(32),
        nodes=nodes,
        calls=calls,
        faults=tuple(_fault(rng, nodes, enterprises) for _ in range(rng.choice((0, 1, 1, 2, 3)) if rough else 0)),
        repeated=rng.choice(list(Repeated)),
        lag_ms=rng.choice((0, 0, 2_000, 7_000)),
        jitter_ms=rng.choice((0, 300, 1_400, 1_400, 7_000)) if rough else 0,
        twice=rng.choice((0, 100, 500)),
        lost=rng.choice((0, 0, 0, 0, 60)),
        broken=rng.choice((0, 0, 30, 200)) if rough else 0,
        store_broken=rng.choice((0, 0, 0, 20)) if rough else 0,
        slow_ms=rng.choice((500, 2_000, 5_000, 20_000)),
        tight=rng.random() < 0.05,
        refused=rng.random() < 0.08,
        unmapped=rng.random() < 0.15,
        shared=enterprises > 1 and rng.random() < 0.3,
        skew_ms=rng.choice((0, 0, 0, 100)),
        after=rng.random() < 0.5,
    )


def _quiet(rng: random.Random) -> Scenario:
    """Calls of a few people close together, and nothing that breaks."""
    near = rng.choice((500, 4_000, 12_000))
    numbers = rng.choice(((0,), (0, 1), (0, 1, 2, 3), (3,)))
    scripts = [_story_script(rng, 1) for _ in range(rng.randint(1, 3))]
    calls = [replace(script, number=rng.choice(numbers), at_ms=rng.randint(0, near)) for script in scripts]
    return Scenario(
        noise=rng.getrandbits(32),
        nodes=rng.choice((1, 1, 1, 2)),
        calls=tuple(calls),
        lag_ms=rng.choice((0, 0, 0, 2_000)),
        twice=rng.choice((0, 0, 200)),
        after=rng.random() < 0.3,
    )


def _hand_over(rng: random.Random) -> Scenario:
    """One or two calls, and nodes that fail while MoySklad is slow, so that requests are under way just then."""
    nodes, slow_ms = rng.randint(2, MAX_NODES), rng.choice((500, 2_000, 5_000))
    troubles = (Trouble.CRASH, Trouble.RESTART, Trouble.FREEZE, Trouble.FREEZE, Trouble.CUT_FROM_DATABASE)
    faults = [
        Fault(
            trouble=rng.choice(troubles),
            at_ms=rng.randint(1_500, 14_000),
            for_ms=rng.choice((3_500, 5_000, 8_000, 15_000)),
            where=rng.randrange(nodes),
        )
        for _ in range(rng.randint(1, 3))
    ]
    if rng.random() < 0.7:
        faults.append(Fault(trouble=Trouble.SLOW, at_ms=0, for_ms=25_000, where=-1))
    return Scenario(
        noise=rng.getrandbits(32),
        nodes=nodes,
        calls=tuple(_script(rng, 1) for _ in range(rng.randint(1, 2))),
        faults=tuple(faults),
        repeated=rng.choice(list(Repeated)),
        jitter_ms=rng.choice((0, 300)),
        slow_ms=slow_ms,
        after=rng.random() < 0.5,
    )


def _crowd(rng: random.Random) -> Scenario:
    """A backlog, or many calls at once, that fill the limits, and nodes that fail or are restarted in the midst of it."""
    nodes = rng.randint(1, MAX_NODES)
    troubles = (Trouble.CRASH, Trouble.RESTART, Trouble.RESTART, Trouble.FREEZE, Trouble.LIMITED, Trouble.DOWN)
    faults = [
        Fault(
            trouble=rng.choice(troubles),
            at_ms=rng.randint(1_000, 15_000),
            for_ms=rng.choice((300, 3_500, 6_000, 12_000)),
            where=rng.randrange(nodes),
        )
        for _ in range(rng.randint(0, 3))
    ]
    many = rng.random() < 0.4
    calls = [_script(rng, 1) for _ in range(rng.randint(6, 10) if many else rng.randint(1, 3))]
    return Scenario(
        noise=rng.getrandbits(32),
        nodes=nodes,
        calls=tuple(replace(call, at_ms=call.at_ms // 4) if many else call for call in calls),
        faults=tuple(faults),
        repeated=rng.choice(list(Repeated)),
        twice=rng.choice((0, 200)),
        backlog=0 if many else rng.randint(15, 50),
        tight=many or rng.random() < 0.7,
        after=rng.random() < 0.3,
    )


def _script(rng: random.Random, enterprises: int) -> Script:
    kind = rng.choices(list(Kind), (5, 2, 1, 3, 8))[0]
    if kind is Kind.STORY:
        return _story_script(rng, enterprises)
    return Script(
        kind=kind,
        at_ms=rng.randint(0, 5_000),
        enterprise=rng.randrange(enterprises),
        number=rng.randrange(4),
        rings=tuple(_group(rng) for _ in range(rng.choice((1, 1, 2, 3)))),
        pauses=tuple(rng.randint(1_600, 4_000) for _ in range(3)),
        answered=rng.random() < 0.7,
        first=rng.randrange(3),
        target=rng.randrange(2),
        transfer=rng.choices(list(Transfer), (5, 2, 1, 2))[0],
        customer_first=rng.random() < 0.5,
        recorded=rng.random() < 0.4,
        downloaded_ms=rng.choice((0, 0, 0, 0, 6_000, 15_000)),
        recording=rng.randrange(len(RECORDINGS)),
    )


def _story_script(rng: random.Random, enterprises: int) -> Script:
    return Script(
        kind=Kind.STORY,
        at_ms=rng.randint(0, 5_000),
        enterprise=rng.randrange(enterprises),
        number=rng.choice((0, 0, 1, 2, 3)),
        customer_first=rng.random() < 0.5,
        story=_story(rng),
    )


def _story(rng: random.Random) -> Story:
    outgoing = rng.random() < 0.3
    first = rng.randrange(3)
    steps = [Step(act=Act.RING, who=(first,), ms=rng.randint(2_000, 5_000))]
    if not outgoing:
        steps = _ringing(rng)
    if rng.random() < 0.85:
        steps.append(Step(act=Act.ANSWER, who=(rng.choice((first, *steps[-1].who)),), ms=rng.randint(2_000, 7_000)))
        for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3))):
            act = rng.choices((Act.CONSULT, Act.ATTENDED, Act.CONFERENCE, Act.BLIND, Act.PARK, Act.CONNECT), (2, 4, 2, 4, 2, 1))[0]
            well = rng.random() < (0.5 if act is Act.CONFERENCE else 0.75)
            steps.append(Step(act=act, who=tuple(rng.sample(range(3), 2)), ms=rng.randint(2_000, 8_000), well=well))
        if not outgoing and rng.random() < 0.2:  # back from where nobody answered
            steps += [Step(act=Act.RING, who=(first,)), Step(act=Act.ANSWER, who=(first,))]
    return Story(
        steps=tuple(steps),
        outgoing=outgoing,
        telling=rng.choices(list(Telling), (10, 2, 2, 2, 1, 1))[0],
        hidden=(hidden := rng.randrange(4)),
        unnamed=rng.random() < 0.7,
        silent=rng.random() < 0.25,
        merges=rng.random() < 0.25,
        legs_late_ms=rng.choice((0, 0, 0, 1_500, 6_500, 30_000, 150_000)),
        legs_upside_down=rng.random() < 0.2,
        bridges_late_ms=rng.choice((0, 0, 0, 0, 1_500, 3_000)),
        late_ms=rng.choice((8_000, 20_000, 60_000, 100_000)),
        copied_ms=rng.choice((0, 0, 0, 8_000, 30_000, 150_000)),
        recorded=rng.choice((0, 1, 1, 2, 3, 4, 5, 6, 7)),
        sent_as=(2, 2, 0, 1)[hidden],
    )


def _ringing(rng: random.Random) -> list[Step]:
    """Steps of a ring plan; or a queue whose telephones ring in turn; now and then a mobile, or the caller's own number."""
    if rng.random() < 0.2:
        turns = rng.sample(range(3), 2) if rng.random() < 0.7 else rng.sample(range(3), 3)
        each_ms = rng.randint(8_000, 10_000)
        return [Step(act=Act.RING, who=(turns[at % len(turns)],), ms=each_ms) for at in range(rng.randint(3, 5))]
    found = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        outside = rng.choice((MOBILE, OWN)) if rng.random() < 0.1 else None
        group = _group(rng) if outside is None else (*_group(rng)[: rng.randint(0, 2)], outside)
        found.append(Step(act=Act.RING, who=group, ms=rng.randint(2_000, 6_000)))
    return found


def _group(rng: random.Random) -> tuple[int, ...]:
    return tuple(rng.sample(range(3), rng.randint(1, 3)))


def _fault(rng: random.Random, nodes: int, enterprises: int) -> Fault:
    trouble = rng.choices(list(Trouble), [5 if each in (Trouble.CRASH, Trouble.FREEZE) else 2 for each in Trouble])[0]
    return Fault(
        trouble=trouble,
        at_ms=rng.randint(0, 20_000),
        for_ms=rng.choice((200, 1_000, 1_000, 4_000, 4_000, 12_000, 12_000, 30_000, 70_000)),
        where=rng.randrange(nodes) if trouble in OF_A_NODE else rng.randrange(enterprises + 1) - 1,
    )


# -- for Hypothesis -----------------------------------------------------------------------------------------------


def scenarios() -> st.SearchStrategy[Scenario]:
    """The same space, so that what is found shrinks: fewer calls, fewer faults, chances of nothing, one node."""
    small, chance = st.integers(0, 30_000), st.sampled_from((0, 30, 100, 200, 500))
    group = st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True).map(tuple)
    steps = st.builds(
        Step,
        act=st.sampled_from(list(Act)),
        who=st.lists(st.integers(0, OWN), min_size=1, max_size=2, unique=True).map(tuple),
        ms=st.sampled_from((2_000, 4_000, 9_000)),
        well=st.booleans(),
    )
    stories = st.builds(
        Story,
        steps=st.lists(steps, min_size=1, max_size=6).map(tuple),
        outgoing=st.booleans(),
        telling=st.sampled_from(list(Telling)),
        silent=st.booleans(),
        merges=st.booleans(),
        legs_late_ms=st.sampled_from((0, 1_500, 6_500, 30_000)),
        legs_upside_down=st.booleans(),
        bridges_late_ms=st.sampled_from((0, 1_500, 3_000)),
        copied_ms=st.sampled_from((0, 8_000, 30_000)),
        recorded=st.integers(0, 7),
        sent_as=st.sampled_from((2, 0, 1)),
    )
    scripts = st.builds(
        Script,
        kind=st.sampled_from(list(Kind)),
        at_ms=st.integers(0, 12_000),
        enterprise=st.integers(0, MAX_ENTERPRISES - 1),
        number=st.integers(0, 3),
        rings=st.lists(group, min_size=1, max_size=3).map(tuple),
        pauses=st.lists(st.integers(1_600, 6_000), min_size=1, max_size=3).map(tuple),
        answered=st.booleans(),
        first=st.integers(0, 2),
        target=st.integers(0, 1),
        transfer=st.sampled_from(list(Transfer)),
        customer_first=st.booleans(),
        recorded=st.booleans(),
        downloaded_ms=st.sampled_from((0, 6_000, 15_000)),
        recording=st.integers(0, len(RECORDINGS) - 1),
        story=stories,
    )
    faults = st.builds(
        Fault,
        trouble=st.sampled_from(list(Trouble)),
        at_ms=small,
        for_ms=st.sampled_from((200, 1_000, 4_000, 12_000, 30_000, 70_000)),
        where=st.integers(-1, MAX_NODES - 1),
    )
    return st.builds(
        Scenario,
        noise=st.integers(0, 1_000),
        nodes=st.integers(1, MAX_NODES),
        calls=st.lists(scripts, min_size=1, max_size=MAX_CALLS).map(tuple),
        faults=st.lists(faults, max_size=3).map(tuple),
        repeated=st.sampled_from(list(Repeated)),
        lag_ms=st.sampled_from((0, 2_000, 7_000)),
        jitter_ms=st.sampled_from((0, 300, 1_400, 7_000)),
        twice=chance,
        lost=st.sampled_from((0, 0, 60)),
        broken=st.sampled_from((0, 30, 200)),
        store_broken=st.sampled_from((0, 20)),
        backlog=st.sampled_from((0, 0, 0, 12)),
        slow_ms=st.sampled_from((500, 2_000, 5_000, 20_000)),
        tight=st.booleans(),
        refused=st.booleans(),
        unmapped=st.booleans(),
        shared=st.booleans(),
        skew_ms=st.sampled_from((0, 100)),
        after=st.booleans(),
    )


_OPTIONAL: Final = (
    "lag_ms", "jitter_ms", "twice", "lost", "broken", "store_broken",
    "backlog", "tight", "refused", "unmapped", "shared", "skew_ms", "after",
)  # fmt: skip


def simpler(scenario: Scenario) -> list[Scenario]:
    """Scenarios with one thing less, for shrinking what a seed found: without a fault, a call, an accident, a node."""
    found = [
        replace(scenario, faults=scenario.faults[:index] + scenario.faults[index + 1 :]) for index in range(len(scenario.faults))
    ]
    if len(scenario.calls) > 1:
        found += [
            replace(scenario, calls=scenario.calls[:index] + scenario.calls[index + 1 :]) for index in range(len(scenario.calls))
        ]
    for name in _OPTIONAL:
        if getattr(scenario, name):
            plain: Any = False if isinstance(getattr(scenario, name), bool) else 0
            found.append(replace(scenario, **{name: plain}))
    if scenario.nodes > 1:
        found.append(replace(scenario, nodes=scenario.nodes - 1))
    for index, script in enumerate(scenario.calls):
        for less in _simpler_scripts(script):
            found.append(replace(scenario, calls=(*scenario.calls[:index], less, *scenario.calls[index + 1 :])))
    return found


def _simpler_scripts(script: Script) -> list[Script]:
    plain = Script(kind=script.kind, at_ms=script.at_ms)
    changes = [
        {each.name: getattr(plain, each.name)} for each in fields(script) if getattr(script, each.name) != getattr(plain, each.name)
    ]
    found = [replace(script, **change) for change in changes if "story" not in change]
    return found + [replace(script, story=story) for story in _simpler_stories(script.story)]


def _simpler_stories(story: Story) -> list[Story]:
    steps = story.steps
    found = [replace(story, steps=steps[:at] + steps[at + 1 :]) for at in range(len(steps)) if len(steps) > 1]
    names = [each.name for each in fields(story) if each.name != "steps"]
    changed = [name for name in names if getattr(story, name) != getattr(NO_STORY, name)]
    return found + [replace(story, **{name: getattr(NO_STORY, name)}) for name in changed]
