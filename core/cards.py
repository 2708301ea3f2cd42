"""Which cards should stand on whose screen, and the card events that make it so (PRODUCT C2, C4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from core import talk
from core.call import Call
from core.decisions import Limits, hold_ends_ms
from core.effects import CardAction, CardEvent, Effect, RegisterCall, UpdateCall
from core.lifecycle import Phase
from core.phone import looks_like_extension
from core.remote import Card, Refusal, Remote, names_employee
from core.settings import Settings
from core.values import Direction

MOST_REFUSED: Final = 3
"""Of so many employees each was refused a card of his own and nobody had one: then the others are not tried, it is about cards
altogether."""

INACTIVE: Final = 3045
"""What MoySklad says of an employee who cannot log in (CONTRACT-MOYSKLAD 1.5); it does not say who."""


class Note(Struct, frozen=True, kw_only=True, gc=False):
    """Something that was decided and why, or not done and why not; ``about`` names what it concerns."""

    about: str
    text: str


class Wanted(Struct, frozen=True, kw_only=True, gc=False):
    """The cards that should stand now: extension -> SHOWN or TIMING; ``unknown`` extensions need the directory first."""

    cards: Mapping[str, Card]
    unknown: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()


NOTHING = Wanted(cards={})


def wanted_cards(call: Call, settings: Settings, now_ms: int, limits: Limits) -> Wanted:
    """The cards that the call's state asks for, with the reason for each that is left out."""
    if not call.is_live:
        return NOTHING
    targets = _targets(call, now_ms, limits)
    if call.direction is Direction.OUTGOING:
        # An outgoing call's card is for the caller only, also when the call is handed on (PRODUCT C2).
        targets = {extension: card for extension, card in targets.items() if extension == call.caller}
    if not targets:
        return NOTHING
    if not settings.cards_for(call.direction):
        way = "incoming" if call.direction is Direction.INCOMING else "outgoing"
        return Wanted(cards={}, notes=(Note(about="cards", text=f"the settings show no cards for {way} calls"),))
    if refusal := shows_refused(call.remote):
        text = f"MoySklad refused card events: {refusal.error}"
        return Wanted(cards={}, notes=(Note(about="cards", text=text),))
    cards: dict[str, Card] = {}
    unknown: list[str] = []
    notes: list[Note] = []
    refused = _refused_alone(call.remote)
    for extension, card in targets.items():
        if extension in refused:
            notes.append(Note(about=f"card {extension}", text=f"MoySklad refused card events: {refused[extension].error}"))
            continue
        employee = employee_of(call.remote, settings, extension)
        if employee is None and extension not in dict(call.remote.employees):
            if looks_like_extension(extension):
                unknown.append(extension)
            else:
                notes.append(Note(about=f"card {extension}", text="an outside number has no screen in MoySklad"))
        elif employee is None:
            notes.append(Note(about=f"card {extension}", text="no employee has this extension"))
        elif _too_late(call, extension, now_ms, limits):
            notes.append(Note(about=f"card {extension}", text="it has been ringing too long ago: a stale card is not shown"))
        else:
            cards[extension] = card
    return Wanted(cards=cards, unknown=tuple(unknown), notes=tuple(notes))


def employee_of(remote: Remote, settings: Settings, extension: str) -> str | None:
    """The employee's uuid; empty when only the extension is known to be somebody's; None for nobody or not known yet."""
    known = _screen_of(remote, settings, extension)
    return "" if known and remote.employees_refused else known


def _screen_of(remote: Remote, settings: Settings, extension: str) -> str | None:
    """The same, also where MoySklad refused somebody by his uuid: it is still one person's screen."""
    mapped = settings.employee_for(extension)
    return mapped.id if mapped is not None else dict(remote.employees).get(extension)


def card_changes(
    remote: Remote,
    settings: Settings,
    wanted: Mapping[str, Card],
    *,
    over: bool,
    standing: Mapping[str, Card] | None = None,
) -> tuple[CardEvent, ...]:
    """The card events that turn the cards as they stand into the wanted ones, numbered after all earlier ones.

    ``over``: the call shows no card any more, so that one HIDE_ALL does for everybody. ``standing``: how the cards
    stand, if not as the outcomes tell (an update in doubt may have shown more). Where cards of several employees were refused
    together, each is shown on its own: one who cannot log in (3045) shall not cost his colleagues theirs.
    """
    singly = any(len(_shown(refusal)) > 1 for refusal in _refused_shows(remote))
    standing = remote.cards_by_extension if standing is None else standing
    changes: list[tuple[CardAction, str]] = []
    for extension, card in wanted.items():
        if singly and changes:
            break
        now = standing.get(extension, Card.HIDDEN)
        if now in (Card.HIDDEN, Card.UNSURE):
            changes.append((CardAction.SHOW, extension))
        if card is Card.TIMING and now is not Card.TIMING:
            changes.append((CardAction.STARTTIME, extension))
    leaving = [extension for extension, card in standing.items() if card is not Card.HIDDEN and extension not in wanted]
    refused = _refused_to_hide(remote)
    if over and leaving and "" not in refused:
        changes.append((CardAction.HIDE_ALL, ""))
    elif not over:
        # Who has several telephones has one screen, and hiding the card of one of them hides it.
        keeping = {_screen_of(remote, settings, extension) for extension in wanted} - {"", None} if leaving else set()
        gone = [extension for extension in leaving if _screen_of(remote, settings, extension) not in keeping]
        changes.extend((CardAction.HIDE, extension) for extension in gone if extension not in refused)
    return tuple(
        CardEvent(
            action=action,
            sequence=remote.sequence + number,
            extension=extension,
            employee=employee_of(remote, settings, extension) or "",
        )
        for number, (action, extension) in enumerate(changes, start=1)
    )


def shows_refused(remote: Remote) -> Refusal | None:
    """The refusal that ended the showing of cards for this call, if there is one: the call itself goes on."""
    if remote.cards:
        return None  # some colleague was given his: it is about those who were refused
    alone = _refused_alone(remote)
    return next(iter(alone.values())) if len(alone) >= MOST_REFUSED else None


def _refused_alone(remote: Remote) -> dict[str, Refusal]:
    """Extensions whose card MoySklad refused in a request that showed nobody else's, and how: they are not asked for again."""
    shown = ((_shown(refusal), refusal) for refusal in _refused_shows(remote))
    return {extension: refusal for extensions, refusal in shown if len(extensions) == 1 for extension in extensions}


def _refused_shows(remote: Remote) -> list[Refusal]:
    """What was refused with cards to show, and would be again if employees were named by their extensions alone."""
    final = (each for each in remote.refusals if each.proves and (each.code == INACTIVE or not names_employee(each.effect)))
    return [each for each in final if _shown(each)]


def _shown(refusal: Refusal) -> frozenset[str]:
    """The extensions for which a refused effect would have shown a card, or moved it on."""
    effect = refusal.effect
    events = effect.cards if isinstance(effect, RegisterCall | UpdateCall) else ()
    return frozenset(event.extension for event in events if event.action in (CardAction.SHOW, CardAction.STARTTIME))


def _refused_to_hide(remote: Remote) -> frozenset[str]:
    """Extensions whose card MoySklad refused to hide, in a request that did nothing else (an empty one stands for HIDE_ALL):
    they are not asked for again."""
    return frozenset(
        event.extension
        for refusal in remote.refusals
        if refusal.proves
        and isinstance(refusal.effect, UpdateCall)
        and not is_mixed(refusal.effect)
        and all(event.action in (CardAction.HIDE, CardAction.HIDE_ALL) for event in refusal.effect.cards)
        for event in refusal.effect.cards
    )


def mixture_refused(remote: Remote) -> bool:
    """Whether a request with both cards and record was refused. Which of the two was meant is found out by asking for the cards
    alone."""
    return any(refusal.proves and is_mixed(refusal.effect) for refusal in remote.refusals)


def is_mixed(effect: Effect) -> bool:
    """Whether an update carries card events and fields of the record."""
    if not isinstance(effect, UpdateCall) or not effect.cards:
        return False
    return bool(effect.extension or effect.employee or effect.comment or effect.recordings) or effect.end_ms is not None


def _targets(call: Call, now_ms: int, limits: Limits) -> dict[str, Card]:
    match call.phase:
        case Phase.RINGING | Phase.TRANSFERRING:
            return dict.fromkeys(call.ringing, Card.SHOWN)
        case Phase.TALKING:
            return dict.fromkeys(call.talking, Card.TIMING)
        case Phase.ON_HOLD:
            last = talk.last_talk(call.talks)
            ends_ms = hold_ends_ms(call, limits)
            if last is None or (ends_ms is not None and now_ms >= ends_ms):
                return {}
            return {last.extension: Card.TIMING}
        case _:
            return dict.fromkeys(call.asked, Card.SHOWN)


def _too_late(call: Call, extension: str, now_ms: int, limits: Limits) -> bool:
    if call.phase not in (Phase.RINGING, Phase.TRANSFERRING):
        return False
    if call.remote.cards_by_extension.get(extension) in (Card.SHOWN, Card.TIMING):
        return False
    rung_ms = max((step.heard_ms for step in call.steps), default=call.last_heard_ms or 0)
    return now_ms - rung_ms > limits.ring_stale_ms
