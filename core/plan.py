"""What MoySklad should be told now, and why, and why not.

``plan`` compares what the folded call says *should* be true at MoySklad with what its outcomes say *is* true, and
returns the difference as effects. Performing the first, recording its outcome and asking again is the whole reactor:
a crash loses nothing, a retry is not a special case, an outage collapses by itself. Planning after everything is
done plans nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from core import conclusions
from core.attempts import LOOK_EVERY_MS
from core.call import Call
from core.cards import Note, Wanted, card_changes, mixture_refused, wanted_cards
from core.contact_plan import (
    KNOWN,
    contact_deadline_ms,
    contact_steps,
    no_contact_because,
    record_deadline_ms,
    waited_for_contact,
)
from core.decisions import Limits, next_deadline
from core.effects import AfterRecord, CardEvent, ConfirmCall, FindEmployees, InspectCall, RegisterCall, UpdateCall
from core.events import EffectStarted, Event
from core.follow_up_plan import follow_up, refused_for_good
from core.lifecycle import FINAL, LIVE, Phase
from core.naming import external_id
from core.record import Record, final_record
from core.remote import Card, Refusal, Remote
from core.self_test import COMMENT, is_test
from core.settings import Settings
from core.steps import Step, content, due_ms, look, write
from core.values import Direction, Urgency

TURNED_AWAY_WAITS_MS: Final = (15_000, 60_000, 300_000, 1_800_000)
"""Between two tries to hide the cards of a call whose account is refused altogether; the last one repeats."""

ENDED_FRESH_MS: Final = 60_000
"""A call that ended longer ago is backlog: whoever waits for its record has waited already."""


class Plan(Struct, frozen=True, kw_only=True, gc=False):
    """What to do next (at most one step: the rest depends on its outcome), what was left undone and why, when to look again.

    ``parked`` is set when a person is needed: what MoySklad refused and the remedy.
    """

    step: Step | None = None
    notes: tuple[Note, ...] = ()
    wake_ms: int | None = None
    parked: str = ""


def plan(call: Call, settings: Settings, now_ms: int, limits: Limits) -> Plan:
    """Compare and decide. Pure and total."""
    wake = next_deadline(call, now_ms, limits)
    if not settings.enabled:
        return Plan(notes=(Note(about="call", text="the integration is switched off"),), wake_ms=wake)
    if note := _not_ours(call):
        return Plan(notes=(note,), wake_ms=wake)
    wanted = wanted_cards(call, settings, now_ms, limits)
    notes = [*wanted.notes]
    found = next(_steps(call, settings, wanted, now_ms, limits, notes), None)
    reason = parked_reason(call)
    if found is None:
        return Plan(notes=tuple(notes), wake_ms=wake, parked=reason)
    due = due_ms(call, found)
    step = replace(found, not_before_ms=due if due > now_ms else None)
    impatient = getattr(found.effect, "deadline_ms", None) if step.not_before_ms is not None else None
    return Plan(step=step, notes=tuple(notes), wake_ms=_soonest(wake, step.not_before_ms, impatient), parked=reason)


def remarks(before: Call, after: Call, event: Event, settings: Settings, now_ms: int, limits: Limits) -> tuple[Note, ...]:
    """What was left undone, and why, when ``event`` was recorded at ``now_ms``.

    What begins a request was decided before it: while a registration is under way the plan stops ahead of its remarks, and why
    it went without a client would never be told.
    """
    return plan(before if isinstance(event, EffectStarted) else after, settings, now_ms, limits).notes


def urgency(call: Call, now_ms: int, step: Step | None = None) -> Urgency:
    """Whose turn it is when MoySklad's limits do not let everybody through (PRODUCT C8): screens before records before backlog.

    ``step``: what is to be done next; an order or a task takes no place that a record could have.
    """
    if step is not None and isinstance(step.effect, AfterRecord):
        return Urgency.BACKLOG
    if call.is_live or call.remote.open_cards:
        return Urgency.LIVE
    fresh = now_ms - (call.last_heard_ms or 0) < ENDED_FRESH_MS
    downloaded = call.hangup is not None and call.hangup.downloaded
    return Urgency.ENDED if fresh and not downloaded else Urgency.BACKLOG


def _not_ours(call: Call) -> Note | None:
    if call.remote.may_be_there:
        return None
    if call.click is not None and call.direction is Direction.INTERNAL:
        return Note(about="call", text="only the telephone of whoever clicked rings: the customer has not been dialled")
    match call.phase:
        case Phase.INTERNAL | Phase.INTERNAL_ENDED:
            return Note(about="call", text="an internal call is kept in the history and not sent")
        case Phase.ABSORBED:
            return Note(about="call", text=f"it is a leg of call {call.absorbed_into}, which is recorded instead")
        case Phase.UNHEARD:
            return Note(about="call", text="nothing was heard yet that says what this is")
        case _:
            return None


def _steps(call: Call, settings: Settings, wanted: Wanted, now_ms: int, limits: Limits, notes: list[Note]) -> Iterator[Step]:
    """Every step that is open, the most urgent first. Lazy: only the first is used, and nothing is computed for the rest."""
    if doubt := _in_doubt_for_good(call):
        notes.append(Note(about="call", text=doubt))
        return
    yield from _resolve_doubt(call)
    if wanted.unknown:
        effect = FindEmployees(extensions=wanted.unknown, deadline_ms=_directory_deadline_ms(call, now_ms, limits))
        yield look(call, effect, "the settings do not say who has them")
    if call.remote.call is None:
        yield from _register(call, settings, wanted, now_ms, limits, notes)
        if call.phase not in FINAL:
            return  # one that is over gets here only when its registration is refused
    else:
        yield from _update(call, settings, wanted, notes)
    last = [*_look_for_recordings(call, notes)]
    yield from [step for step in last if due_ms(call, step) <= now_ms]  # before the other API is asked: it may be away
    if call.phase in FINAL:
        # Not before: a slow look-up must hold up no card event of a call that goes on, least of all the hiding.
        yield from contact_steps(call, settings, notes)
    elif (reason := no_contact_because(call, settings)) not in ("", KNOWN):
        notes.append(Note(about="contact", text=reason))
    if call.phase in FINAL and (after := follow_up(call, settings, notes)) is not None:
        last.append(after)
    yield from sorted(last, key=lambda step: due_ms(call, step))


def _directory_deadline_ms(call: Call, now_ms: int, limits: Limits) -> int:
    """Until when a card waits for the directory: as was said when it was first asked after the last ring, in vain."""
    until_ms, rung_ms = call.remote.employees_until_ms, max((step.heard_ms for step in call.steps), default=0)
    return until_ms if until_ms is not None and until_ms > rung_ms else now_ms + limits.contact_wait_ms


def _in_doubt_for_good(call: Call) -> str:
    """Why a registration in doubt cannot be resolved; empty when it can. Repeating it blindly could double the call."""
    attempt, refusal = call.remote.attempt, call.remote.refused(ConfirmCall)
    if refusal is None:
        return ""
    in_doubt = attempt is not None and attempt.in_doubt and isinstance(attempt.effect, RegisterCall)
    if not in_doubt and _look_again_ms(call) is None:
        return ""
    return f"whether MoySklad has the call cannot be found out: {refusal.error}"


def _resolve_doubt(call: Call) -> Iterator[Step]:
    attempt = call.remote.attempt
    in_doubt = attempt.effect if attempt is not None and attempt.in_doubt else None
    match in_doubt:
        case RegisterCall():
            yield look(
                call,
                ConfirmCall(external_id=in_doubt.external_id),
                "the answer to the registration never came: MoySklad may have the call",
            )
        case UpdateCall() if in_doubt.recordings and call.remote.refused(InspectCall) is None:
            yield look(
                call,
                InspectCall(call=in_doubt.call),
                "a recording sent twice would be listed twice: see whether it arrived",
            )
        case _ if (again_ms := _look_again_ms(call)) is not None:
            again = look(
                call,
                ConfirmCall(external_id=external_id(call)),
                "an earlier registration may still be under way: look once more before repeating it",
            )
            yield replace(again, not_before_ms=again_ms)


def _look_again_ms(call: Call) -> int | None:
    """When to look once more for a registration that was looked for so soon that it may have been missed; None: no need to.

    A card does not wait for all that a slow MoySklad may do, only for what is likely, unless nobody saw the registration end; a
    record waits. Meanwhile it is looked for now and then: it may show a card, which nobody else moves or hides.
    """
    remote = call.remote
    attempt, late = remote.attempt, remote.late_post
    if not call.is_live:
        if late is None or not late.effect.cards:
            return None if late is None else late.until_ms
        return min(late.until_ms, late.looked_ms + LOOK_EVERY_MS)
    if attempt is None or remote.absent_ms is None or not isinstance(attempt.effect, RegisterCall):
        return None
    over_ms = attempt.at_ms + attempt.guard_ms(hurried=True)
    return min(over_ms, remote.absent_ms + LOOK_EVERY_MS) if remote.absent_ms < over_ms else None


def _look_for_recordings(call: Call, notes: list[Note]) -> Iterator[Step]:
    """A recording in doubt that was not there yet: once its request cannot arrive any more, look again, then send it."""
    remote = call.remote
    if (refusal := remote.cannot_look) is not None:
        notes.append(Note(about="recording", text=f"whether it arrived cannot be looked for: {refusal.error}"))
    elif remote.late and remote.refused(InspectCall) is None:
        notes.append(Note(about="recording", text="its request may still arrive, and a recording sent twice is listed twice"))
        look_again = look(call, InspectCall(call=remote.call or ""), "see once more whether the recording arrived")
        yield replace(look_again, not_before_ms=remote.late_until_ms)


def _register(call: Call, settings: Settings, wanted: Wanted, now_ms: int, limits: Limits, notes: list[Note]) -> Iterator[Step]:
    if refusal := call.remote.refused(RegisterCall, with_cards=False):
        notes.append(Note(about="call", text=f"MoySklad refused to register it: {refusal.error}"))
        return
    final = call.phase in FINAL
    if call.is_live and settings.cards_for(call.direction):
        yield from contact_steps(call, settings, notes, deadline_ms=contact_deadline_ms(call, limits), now_ms=now_ms)
    elif final and waited_for_contact(call, now_ms, limits):
        notes.append(Note(about="contact", text="the record did not wait longer for it"))
    elif final:
        yield from contact_steps(call, settings, notes, deadline_ms=record_deadline_ms(call, now_ms, limits))
    if not final and not wanted.cards:
        notes.append(Note(about="call", text=_why_not_yet(call)))
        return
    cards = card_changes(call.remote, settings, wanted.cards, over=not call.is_live)
    effect = RegisterCall(
        external_id=external_id(call),
        number=call.number,
        incoming=call.direction is not Direction.OUTGOING,
        start_ms=conclusions.start_ms(call),
        contact=call.remote.contact.id or "",
        cards=cards,
        comment=COMMENT if is_test(call.id) else "",
    )
    if not final:
        yield write(call, effect, f"the card belongs on a screen: {describe_cards(cards)}")
        return
    record = final_record(call, settings)
    notes.append(_attributed(record))
    effect = replace(
        effect,
        extension=record.extension,
        employee=record.employee,
        end_ms=record.end_ms,
        comment=record.comment,
        recordings=record.recordings,
    )
    yield write(call, effect, f"the call is over ({call.phase}) and MoySklad does not have it: register it complete")


def _update(call: Call, settings: Settings, wanted: Wanted, notes: list[Note]) -> Iterator[Step]:
    attempt, refusal = call.remote.attempt, call.remote.refused(UpdateCall, with_cards=False)
    turned_away = refusal is not None and call.remote.is_turned_away
    if refusal is not None and turned_away:
        notes.append(Note(about="call", text=f"MoySklad refused the update: {refusal.error}"))
        if not call.remote.open_cards:
            return
    effect, reasons, said = _update_from(call, settings, wanted)
    if attempt is not None and attempt.in_doubt and (not reasons or content(effect) != content(attempt.effect)):
        # Not the one in doubt again: whatever that one may have shown counts as standing.
        effect, reasons, said = _update_from(call, settings, wanted, call.remote.doubtful_cards)
    notes.extend(said)
    if reasons:
        step = write(call, effect, "; ".join(reasons))
        # A card may stand on a screen: that is asked for again by itself, ever more rarely, whatever the account is refused.
        yield replace(step, not_before_ms=_after_turned_away_ms(call.remote)) if turned_away else step


def _after_turned_away_ms(remote: Remote) -> int:
    turned = [refusal for refusal in remote.refusals if not refusal.proves and isinstance(refusal.effect, UpdateCall)]
    return turned[-1].at_ms + TURNED_AWAY_WAITS_MS[min(len(turned), len(TURNED_AWAY_WAITS_MS)) - 1]


def _update_from(
    call: Call, settings: Settings, wanted: Wanted, standing: Mapping[str, Card] | None = None
) -> tuple[UpdateCall, list[str], list[Note]]:
    remote = call.remote
    cards = card_changes(remote, settings, wanted.cards, over=call.phase not in LIVE, standing=standing)
    effect = UpdateCall(
        external_id=external_id(call),
        call=remote.call or "",
        cards=cards,
        start_ms=remote.start_ms or conclusions.start_ms(call),
    )
    reasons = [f"cards: {describe_cards(cards)}"] if cards else []
    notes: list[Note] = []
    if cards and mixture_refused(remote):
        notes.append(Note(about="end", text="cards and record were refused together: the cards go first, alone"))
    elif call.phase in FINAL:
        effect = _with_record(call, final_record(call, settings), effect, reasons, notes)
    elif call.phase is Phase.ENDING:
        notes.append(Note(about="end", text="a straggler could still change it, and MoySklad never overwrites an end"))
    return effect, reasons, notes


def _with_record(call: Call, record: Record, effect: UpdateCall, reasons: list[str], notes: list[Note]) -> UpdateCall:
    """Add the final fields that MoySklad does not hold yet; what it holds it keeps (CONTRACT-MOYSKLAD 1.4)."""
    written = call.remote.written
    refused = call.remote.refused(UpdateCall, with_cards=False)
    notes.append(_attributed(record))
    if refused is not None and not _named_somebody(refused):
        notes.append(Note(about="call", text=f"MoySklad refused the update: {refused.error}"))
        return effect
    if written.end_ms is None and record.end_ms is not None:
        effect = replace(effect, end_ms=record.end_ms)
        reasons.append("the end is known")
    elif record.end_ms not in (None, written.end_ms):
        notes.append(Note(about="end", text="a different end was heard later; MoySklad never overwrites an end"))
    if record.extension and not written.extension and refused is not None:
        notes.append(Note(about="extension", text=f"MoySklad refused it: {refused.error}"))
    elif record.extension and not written.extension:
        effect = replace(effect, extension=record.extension, employee=record.employee)
        reasons.append(f"{record.extension} {record.attributed}")
    elif record.extension not in ("", written.extension):
        notes.append(Note(about="extension", text="MoySklad never overwrites an extension that is set"))
    if record.comment and record.comment != written.comment:
        effect = replace(effect, comment=record.comment)
        reasons.append("the comment says how it ended")
    # Where nobody may look, ever, a recording that is listed twice is better than none.
    no_look = call.remote.refused(InspectCall)
    waiting = () if no_look is not None and no_look.proves else call.remote.recordings_in_doubt
    fresh = tuple(url for url in record.recordings if url not in (*written.recordings, *waiting))
    if fresh:
        effect = replace(effect, recordings=fresh)
        reasons.append("the recording is there")
    return effect


def _named_somebody(refusal: Refusal) -> bool:
    return refusal.proves and isinstance(refusal.effect, UpdateCall) and bool(refusal.effect.extension)


def _attributed(record: Record) -> Note:
    return Note(about="attribution", text=f"{record.extension or 'nobody'}: {record.attributed}")


def _why_not_yet(call: Call) -> str:
    if call.phase in (Phase.ENDING, Phase.OVERDUE):
        return "it is registered complete, in one request, once its record is settled"
    return "no card is wanted now: it is registered with the first card, or complete at its end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """Why a person is needed for a call: what MoySklad said and since when, what helps; ``code`` is MoySklad's own."""

    reason: str
    remedy: str
    since_ms: int
    code: int | None = None


def parked(call: Call) -> Parked | None:
    """Whether a person is needed for this call, and what for. Goes by the history alone, whatever the settings are now."""
    remote = call.remote
    if not remote.refusals:
        return None  # as nearly always
    refusal, reason = remote.refused(ConfirmCall), _in_doubt_for_good(call)
    if not reason and remote.call is None:
        refusal = remote.refused(RegisterCall, with_cards=False)
    elif not reason:
        refusal = remote.refused(UpdateCall, with_cards=False)
        refusal = None if refusal is not None and _named_somebody(refusal) else refusal
        refusal = refusal or remote.cannot_look
    if refusal is None:
        refusal = refused_for_good(call)
    if refusal is None or _not_ours(call) is not None:
        return None
    return Parked(reason=reason or refusal.error, remedy=refusal.remedy, since_ms=refusal.at_ms, code=refusal.code)


def parked_reason(call: Call) -> str:
    """The same in one line; empty when nobody is needed."""
    found = parked(call)
    return f"{found.reason} {found.remedy}".strip() if found is not None else ""


def describe_cards(cards: tuple[CardEvent, ...]) -> str:
    """The card events in words a person reads: ``SHOW 101, HIDE 102``."""
    return ", ".join(f"{card.action} {card.extension}".strip() for card in cards)


def _soonest(*times: int | None) -> int | None:
    return min((at for at in times if at is not None), default=None)
