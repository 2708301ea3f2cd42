"""Whether one account's API is worth asking now: the circuit breaker of one credential (docs/decisions/0011).

Pure: time and chance come in. ``TABLE`` is the machine: what each kind of outcome makes of each state. While MoySklad is
away one request at a time finds out whether it is back, in growing intervals; while it refuses everything of an account
(a revoked key), others are told the same refusal at once. What is asked of a closed breaker is nobody's business here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from adapters.moysklad.errors import RATE_CODES, ApiRefusal, ApiUnavailable, is_account_wide
from core.values import Urgency


class State(StrEnum):
    """``CLOSED``: ask. ``OPEN``: MoySklad is away. ``REFUSED``: it refuses everything of this account."""

    CLOSED = "closed"
    OPEN = "open"
    REFUSED = "refused"


class Outcome(StrEnum):
    """What one request says of the whole account.

    ``GOOD``: a success, or a refusal of this one request. ``BUSY``: too many requests: it is there, but said nothing of the
    credential. ``AWAY``: no answer, or one of an outage. ``REFUSED``: every request would be refused like this one.
    ``NOTHING``: it was not sent after all, or was given up too early to tell.
    """

    GOOD = "good"
    BUSY = "busy"
    AWAY = "away"
    REFUSED = "refused"
    NOTHING = "nothing"


TABLE: Final[Mapping[State, Mapping[Outcome, State]]] = {
    State.CLOSED: {
        Outcome.GOOD: State.CLOSED,
        Outcome.BUSY: State.CLOSED,
        Outcome.AWAY: State.OPEN,  # from the third in a row; until then it stays closed, and each makes the next one wait
        Outcome.REFUSED: State.REFUSED,
        Outcome.NOTHING: State.CLOSED,
    },
    State.OPEN: {
        Outcome.GOOD: State.CLOSED,
        Outcome.BUSY: State.CLOSED,  # it answers, so it is back; how long it wants to be left alone it has said
        Outcome.AWAY: State.OPEN,
        Outcome.REFUSED: State.REFUSED,
        Outcome.NOTHING: State.OPEN,
    },
    State.REFUSED: {
        Outcome.GOOD: State.CLOSED,
        Outcome.BUSY: State.REFUSED,
        Outcome.AWAY: State.REFUSED,  # an outage does not mend a key
        Outcome.REFUSED: State.REFUSED,
        Outcome.NOTHING: State.REFUSED,
    },
}

OPENS_AT: Final = 3
"""So many failures in a row open the breaker."""

FIRST_WAIT_MS: Final = 250
"""After the first failure; doubled with each one more."""

FIRST_WAIT_UNPROVEN_MS: Final = 1_000
"""The same as long as this process has had no success with the credential: one that is restarted again and again has no
memory of its failures, and must not begin with a burst each time."""

LONGEST_WAIT_MS: Final[Mapping[Urgency, int]] = {Urgency.LIVE: 5_000, Urgency.ENDED: 10_000, Urgency.BACKLOG: 30_000}
"""Between two requests that try whether MoySklad is back. So late, at most, the first card is shown after an outage."""

REFUSED_WAITS_MS: Final = (10_000, 60_000, 300_000)
"""Between two tries while everything is refused: soon at first, in case the refusal was a slip, then every five minutes."""

PROBE_LOOK_MS: Final[Mapping[Urgency, int]] = {Urgency.LIVE: 1_000, Urgency.ENDED: 2_000, Urgency.BACKLOG: 3_000}
"""When to ask again while another request, the probe, finds out whether MoySklad is back."""

EXPECTED_MS: Final = 2_500
"""A more urgent request that was told when to come again may be this late; after that a less urgent one is let try in its
place."""

FORGOTTEN_MS: Final = 60_000
"""Nobody has asked for so long after the next try was due: whether MoySklad is still away is not known."""

ASKED_FOR: Final = -(10**15)
"""In place of the last failure's time when somebody asks for a try now: so long ago that no wait is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Go:
    """Ask. ``probe``: the answer decides for everybody, and nobody else asks until it is there."""

    probe: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Not yet: a failure was just seen, so wait in line for so long."""

    wait_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Away:
    """Not now: MoySklad is away, or somebody is finding out whether it is back. Come again in so long."""

    reason: str
    retry_after_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Never:
    """MoySklad refuses everything of this account; ``refusal`` says how it said so."""

    refusal: ApiRefusal


Advice = Go | Pause | Away | Never


class Breaker:
    """The state of one credential at one API."""

    def __init__(self, *, now_ms: int) -> None:
        self.state = State.CLOSED
        self.since_ms = now_ms
        self.reason = ""
        self.proven = False
        self.probing = False
        self.failures = 0
        """In a row: of requests while closed, of tries since."""
        self._failed_ms = now_ms
        self._patience = 1.0
        self._refusal: ApiRefusal | None = None
        self._expected_ms: dict[Urgency, int] = {}

    @property
    def suspect(self) -> bool:
        """There is no reason to believe that the next request succeeds: then one at a time is enough."""
        return not self.proven or self.failures > 0 or self.state is not State.CLOSED

    def advise(self, now_ms: int, urgency: Urgency) -> Advice:
        """What a request of this urgency should do now. It only advises: nothing changes."""
        left_ms = self.next_ms(urgency) - now_ms
        match self.state:
            case State.CLOSED:
                return Pause(wait_ms=left_ms) if self.failures and left_ms > 0 else Go()
            case State.OPEN if self.probing:
                return Away(reason=self.reason, retry_after_ms=PROBE_LOOK_MS[urgency])
            case State.OPEN:
                left_ms = max(left_ms, self._after_the_more_urgent_ms(urgency) - now_ms)
                return Away(reason=self.reason, retry_after_ms=left_ms) if left_ms > 0 else Go(probe=True)
            case State.REFUSED if self.probing:
                return Away(reason=f"it is being tried again after: {self.reason}", retry_after_ms=PROBE_LOOK_MS[urgency])
            case State.REFUSED:
                assert self._refusal is not None
                return Never(refusal=self._refusal) if left_ms > 0 else Go(probe=True)

    def next_ms(self, urgency: Urgency) -> int:
        """When the next try is due; in the past when nothing speaks against it."""
        if not self.failures:
            return ASKED_FOR
        if self.state is State.REFUSED:
            return self._failed_ms + REFUSED_WAITS_MS[min(self.failures, len(REFUSED_WAITS_MS)) - 1]
        first_ms = FIRST_WAIT_MS if self.proven else FIRST_WAIT_UNPROVEN_MS
        # the doubling ends long before the exponent could matter
        wait_ms = min(first_ms << min(self.failures - 1, 16), LONGEST_WAIT_MS[urgency])
        return self._failed_ms + int(wait_ms * self._patience)

    def is_forgotten(self, now_ms: int) -> bool:
        """Whether it was away when it was last asked, and nobody has needed it since."""
        overdue_ms = now_ms - self.next_ms(Urgency.BACKLOG)
        return self.state is State.OPEN and not self.probing and overdue_ms >= FORGOTTEN_MS

    def told_to_come_again(self, now_ms: int, urgency: Urgency, retry_after_ms: int) -> None:
        """Remember that a request of this urgency is on its way: the less urgent leave the next try to it."""
        self._expected_ms[urgency] = now_ms + retry_after_ms + EXPECTED_MS

    def entered(self, advice: Go) -> None:
        """Somebody was let in on this advice; what comes of it is told to :meth:`left`."""
        self.probing = self.probing or advice.probe

    def left(
        self, now_ms: int, outcome: Outcome, *, probe: bool, chance: float, reason: str = "", refusal: ApiRefusal | None = None
    ) -> bool:
        """Take in what came of a request; ``chance``, 0 to 1, spreads the accounts' tries. Whether the state has changed.

        ``reason`` goes with AWAY and REFUSED, ``refusal`` with REFUSED.
        """
        if probe:
            self.probing = False
        before, after = self.state, TABLE[self.state][outcome]
        late = not probe and before is not State.CLOSED and after is before
        if late or outcome is Outcome.NOTHING:
            return False  # what was under way when the door fell shut tells nothing new
        if outcome in (Outcome.GOOD, Outcome.BUSY) and after is State.CLOSED:
            self.failures = 0
            self.proven = self.proven or outcome is Outcome.GOOD
        if outcome in (Outcome.AWAY, Outcome.REFUSED):
            self._failed(now_ms, outcome, reason, refusal, chance)
            if before is State.CLOSED and outcome is Outcome.AWAY and self.failures < OPENS_AT:
                after = State.CLOSED
        self.state = after
        if after is not before:
            self.since_ms = now_ms
            self.reason = "" if after is State.CLOSED else self.reason
        return after is not before

    @property
    def hurried(self) -> bool:
        """Whether the next try should be given up early: a card shall not wait for one that hangs.

        Every third takes its time all the same, so that a MoySklad which answers, but slowly, is found to answer.
        """
        return self.state is State.OPEN and self.failures % 3 != 0

    def forget(self) -> None:
        """Somebody asked for it, or the settings were changed: the next request may try at once."""
        self._failed_ms = ASKED_FOR
        self._expected_ms.clear()

    def _failed(self, now_ms: int, outcome: Outcome, reason: str, refusal: ApiRefusal | None, chance: float) -> None:
        was_refused = self.state is State.REFUSED
        if outcome is Outcome.REFUSED:
            # the waits of a refusal are its own: they begin anew
            self.failures = self.failures + 1 if was_refused else 1
            self._refusal, self.reason = refusal, reason
        elif not was_refused:
            self.failures += 1
            self.reason = reason
        self._failed_ms = now_ms
        self._patience = 0.8 + 0.2 * chance

    def _after_the_more_urgent_ms(self, urgency: Urgency) -> int:
        return max((until for other, until in self._expected_ms.items() if other < urgency), default=ASKED_FOR)


def outcome_of(problem: ApiRefusal | ApiUnavailable | None, *, write: bool) -> Outcome:
    """What an answer, or the lack of one, says of the whole account."""
    match problem:
        case None:
            return Outcome.GOOD
        case ApiRefusal():
            return Outcome.REFUSED if is_account_wide(problem, write=write) else Outcome.GOOD
        case ApiUnavailable() if problem.status == 429 or not RATE_CODES.isdisjoint(problem.codes):
            return Outcome.BUSY
        case ApiUnavailable() if problem.status == 409 or 1065 in problem.codes:
            return Outcome.GOOD  # somebody edited the same object: MoySklad is there
        case _:
            return Outcome.AWAY
