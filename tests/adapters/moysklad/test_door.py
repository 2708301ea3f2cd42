"""The places that all accounts share (CONTRACT-MOYSKLAD 1.2)."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from adapters.moysklad.door import Door
from core.values import Urgency


@dataclass(eq=False, slots=True)
class Account:
    """So many requests wait under it."""

    door: Door
    urgency: Urgency
    waiting: int
    suspect: bool = False
    served: list[Account] = field(default_factory=list)

    def serve(self) -> None:
        """Come in as long as there is room."""
        while self.waiting:
            if not self.door.has_room(suspect=self.suspect):
                self.door.wait(self, self.urgency)
                return
            self.door.enter(suspect=self.suspect)
            self.waiting -= 1
            self.served.append(self)


def test_the_urgent_are_called_first_and_accounts_take_turns() -> None:
    door = Door(1)
    served: list[Account] = []
    door.enter(suspect=False)
    backlog, ended = Account(door, Urgency.BACKLOG, 1, served=served), Account(door, Urgency.ENDED, 1, served=served)
    first, second = Account(door, Urgency.LIVE, 2, served=served), Account(door, Urgency.LIVE, 2, served=served)
    for account in (backlog, ended, first, second):
        account.serve()
    for _ in range(6):
        door.leave(suspect=False)
    assert served == [first, second, first, second, ended, backlog]


def test_a_larger_door_lets_those_in_who_wait() -> None:
    door = Door(1)
    account = Account(door, Urgency.LIVE, 5)
    account.serve()
    assert account.waiting == 4
    door.set_capacity(3)
    assert account.waiting == 2
    door.set_capacity(1)
    for _ in range(2):
        door.leave(suspect=False)
    assert account.waiting == 2, "one is inside still, and there is one place"
    door.leave(suspect=False)
    assert account.waiting == 1


def test_suspects_have_at_least_one_place() -> None:
    assert Door(1).has_room(suspect=True)


ACCOUNTS = st.lists(st.tuples(st.sampled_from(Urgency), st.integers(1, 5), st.booleans()), max_size=30)


@given(accounts=ACCOUNTS, capacity=st.integers(1, 20), leaving=st.lists(st.booleans(), max_size=60))
def test_it_is_never_too_full_and_nobody_is_forgotten(
    accounts: list[tuple[Urgency, int, bool]], capacity: int, leaving: list[bool]
) -> None:
    door = Door(capacity)
    inside: list[Account] = []
    everybody = [Account(door, urgency, waiting, suspect, inside) for urgency, waiting, suspect in accounts]
    for account in everybody:
        account.serve()
    for suspects_first in [*leaving, *[True] * 400]:
        assert len(inside) <= capacity
        assert sum(one.suspect for one in inside) <= max(1, capacity // 2)
        going = next((one for one in inside if one.suspect is suspects_first), inside[0] if inside else None)
        if going is None:
            break
        inside.remove(going)
        door.leave(suspect=going.suspect)
    assert [account.waiting for account in everybody] == [0] * len(everybody)
