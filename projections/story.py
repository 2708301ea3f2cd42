"""One call's history as a story: what came in, what was decided and why (and why not), what was asked and answered.

Pure: the events of the call's stream and the settings of its revision in, values out. It never touches the network,
so a replay shows what was recorded; only the reasons for what was *not* done are planned again, from the same history.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from core import conclusions, hangups
from core.call import Call, evolve, initial
from core.cards import Note
from core.contact_state import is_too_late
from core.decisions import Limits
from core.effects import (
    ClaimCallback,
    CloseCallback,
    CompleteTask,
    ConfirmCall,
    CreateContact,
    CreateOrder,
    CreateTask,
    FindContact,
    FindEmployees,
    HoldTasks,
    InspectCall,
    InspectTask,
    KeepTask,
    RegisterCall,
    UpdateCall,
    decode_effect,
    effect_of,
)
from core.events import (
    ArrivalObserved,
    BridgeClosed,
    BridgeEntered,
    BridgeLeft,
    BridgeOpened,
    CallerIdObserved,
    CallOverdue,
    CallSettled,
    CallWrittenOff,
    CardRequested,
    ClickJoined,
    ConsultationObserved,
    DialObserved,
    EffectDeferred,
    EffectDone,
    EffectFailed,
    EffectRefused,
    EffectStarted,
    Event,
    HandoverObserved,
    HangupObserved,
    LegAbsorbed,
    Observation,
    RetryRequested,
    RingEnded,
    decode,
)
from core.lifecycle import Phase
from core.plan import describe_cards, plan, remarks
from core.ports import RecordedEvent
from core.record import final_record
from core.settings import Settings
from core.values import ANONYMOUS, Direction


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One step of the story. ``kind``: ``heard``, ``time``, ``asked``, ``answered``, ``failed``, ``refused``, ``deferred`` or
    ``ordered``.

    ``phase_before`` and ``phase_after`` differ when this step moved the call. ``cards``: extension -> how its card
    stands after the step. ``notes``: what was decided or left undone, with the reason, where that changed here; ``gone``: those
    of earlier steps that do not hold any more.
    ``exchanges``: requests and answers, secrets removed. ``raw``: the wire body, for what was heard. ``again_ms``: when it
    was to be tried again, for what failed or was not asked yet; None where nobody waits so long.
    """

    version: int
    position: int
    at_ms: int
    recorded_ms: int
    kind: str
    title: str
    phase_before: str
    phase_after: str
    why: str = ""
    cards: dict[str, str] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    gone: tuple[Note, ...] = ()
    exchanges: tuple[dict[str, Any], ...] = ()
    wire: str = ""
    raw: dict[str, Any] = field(default_factory=dict)
    again_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """The whole call. Times ``*_ms`` UTC; ``moysklad`` is what we believe MoySklad has (``contact``: whom its call is linked to,
    which a client who was found or made later is not; ``client``: his name, or empty); ``click``: of which click it came.

    ``leg_of``: the call that this one turned out to be a leg of, or empty; ``legs``: what the PBX names that belongs to this one:
    its other channels, and hangups with a UniqueId of their own.

    ``hung_up_by``: ``external`` (the customer), an extension, or ``pbx``; empty, like ``cause`` (Asterisk's), where only the PBX's
    script told of the call.
    """

    enterprise: str
    call: str
    settings_revision: int
    phase: str
    direction: str
    number: str
    outcome: str | None
    rang: tuple[str, ...]
    talked: tuple[str, ...]
    attributed: str
    attributed_because: str
    start_ms: int | None
    end_ms: int | None
    hung_up_by: str
    cause: int | None
    moysklad: dict[str, Any]
    open_cards: tuple[str, ...]
    parked: str
    click: str
    leg_of: str
    legs: tuple[str, ...]
    entries: tuple[Entry, ...]


ORDERED: Final = "ordered"
ORDERED_BY: Final = "asked again by "
"""How an order's entry begins; the rest of its title says who."""


def tell(enterprise: str, call_id: str, history: Sequence[RecordedEvent], settings: Settings, limits: Limits) -> Story:
    """The story of one call from its stream. An empty history gives a story without entries."""
    state = initial(enterprise, call_id)
    entries: list[Entry] = []
    known_notes: tuple[Note, ...] = ()
    named: dict[str, None] = {}
    clients: dict[str, str] = {}
    for recorded in history:
        event = decode(recorded.type, recorded.schema, recorded.data)
        before, state = state, evolve(state, event)
        named.update(dict.fromkeys(_legs(event)))
        clients.update(_client(event))
        notes = remarks(before, state, event, settings, at_ms(event), limits)
        fresh = tuple(note for note in notes if note not in known_notes)
        gone = tuple(note for note in known_notes if note not in notes)
        known_notes = notes
        entries.append(_entry(recorded, event, before, state, clients, fresh, gone))
    named.pop(call_id, None)
    return _story(state, settings, limits, clients, tuple(named), tuple(entries))


def _legs(event: Event) -> Iterator[str]:
    match event:
        case BridgeEntered() | BridgeLeft() | CallerIdObserved():
            yield event.channel
        case ConsultationObserved():
            yield event.leg
        case _:
            pass


def _client(event: Event) -> dict[str, str]:
    """Of whom this outcome says both id and name. Whoever is created is named by his number (CONTRACT-MOYSKLAD 2.5)."""
    if not isinstance(event, EffectDone):
        return {}
    match event.effect.get("type"):
        case FindContact.type:
            name = event.result.get("name")
        case CreateContact.type:
            name = event.effect.get("number")
        case _:
            name = ""
    contact = event.result.get("contact")
    return {str(contact): str(name)} if contact and name else {}


def _story(
    state: Call, settings: Settings, limits: Limits, clients: Mapping[str, str], legs: tuple[str, ...], entries: tuple[Entry, ...]
) -> Story:
    outcome = conclusions.outcome(state)
    told = outcome is not None and state.phase not in (Phase.INTERNAL, Phase.INTERNAL_ENDED, Phase.ABSORBED)
    record = final_record(state, settings) if told else None
    remote = state.remote
    return Story(
        enterprise=state.enterprise,
        call=state.id,
        settings_revision=state.settings_revision,
        phase=state.phase,
        direction=state.direction,
        number=conclusions.shown_number(state),
        outcome=outcome,
        rang=state.rung,
        talked=_talked(state),
        attributed=record.extension if record else "",
        attributed_because=record.attributed if record else "",
        start_ms=conclusions.start_ms(state) if state.first_heard_ms is not None else None,
        end_ms=conclusions.end_ms(state),
        hung_up_by=state.hangup.hung_up_by if state.hangup is not None else "",
        cause=state.hangup.cause if state.hangup is not None else None,
        moysklad={
            "call": remote.call,
            "contact": remote.linked,
            "client": clients.get(remote.linked or "", ""),
            "extension": remote.written.extension,
            "end_ms": remote.written.end_ms,
            "comment": remote.written.comment,
            "recordings": list(remote.written.recordings),
            "order": remote.after.order.id or None,
            "order_name": remote.after.order.name,
            "task": remote.after.task.id or None,
        },
        open_cards=remote.open_cards,
        parked=plan(state, settings, state.last_heard_ms or 0, limits).parked,
        click=state.click.click if state.click is not None else "",
        leg_of=state.absorbed_into,
        legs=legs,
        entries=entries,
    )


def _talked(state: Call) -> tuple[str, ...]:
    hangup = state.hangup
    if state.direction is Direction.INTERNAL and hangup is not None and hangup.answered and hangup.verdict:
        return hangup.extensions  # nobody there is a customer, so that no talk is looked for in the bridges
    return tuple(dict.fromkeys(talk.extension for talk in state.talks))


def at_ms(event: Event) -> int:
    """When it happened, as this service saw it."""
    return event.heard_ms if isinstance(event, Observation) else event.at_ms


def _entry(
    recorded: RecordedEvent,
    event: Event,
    before: Call,
    after: Call,
    clients: Mapping[str, str],
    notes: tuple[Note, ...],
    gone: tuple[Note, ...],
) -> Entry:
    kind, title, why = _tell(event, after, clients)
    exchanges = tuple(_exchanges(event))
    return Entry(
        version=recorded.version,
        position=recorded.position,
        at_ms=at_ms(event),
        recorded_ms=recorded.recorded_ms,
        kind=kind,
        title=title,
        phase_before=before.phase,
        phase_after=after.phase,
        why=why,
        cards={extension: card.value for extension, card in after.remote.cards},
        notes=notes,
        gone=gone,
        exchanges=exchanges,
        wire=event.wire if isinstance(event, Observation) else "",
        raw=event.raw if isinstance(event, Observation) else {},
        again_ms=_again_ms(event, after),
    )


def _again_ms(event: Event, after: Call) -> int | None:
    """When it is tried again; None: never, as far as whoever waited for it goes, or only if somebody still waits for it then. An
    order, a task or a client may ask later."""
    match event:
        case EffectFailed():
            again_ms = event.retry_ms
        case EffectDeferred():
            again_ms = event.until_ms
        case _:
            return None
    match effect := effect_of(event):
        case FindContact() | CreateContact() if is_too_late(effect.deadline_ms, again_ms):
            return None
        case _:
            return None if _is_given_up(event, after) else again_ms


def _is_given_up(event: Event, after: Call) -> bool:
    """Whether what failed, or was put off, is not waited for any more."""
    remote = after.remote
    match effect_of(event) if isinstance(event, EffectFailed | EffectDeferred) else None:
        case FindContact() | CreateContact() if isinstance(event, EffectFailed):
            return remote.contact.retry_ms is None
        case FindContact() | CreateContact():
            return bool(remote.contact.gave_up)
        case FindEmployees(deadline_ms=int()) as effect:
            return dict(remote.employees).keys() >= set(effect.extensions)  # the extension alone must do
        case _:
            return False


def _exchanges(event: Event) -> Iterator[dict[str, Any]]:
    for exchange in getattr(event, "exchanges", ()):
        yield {
            "method": exchange.method,
            "path": exchange.path,
            "request": exchange.request,
            "status": exchange.status,
            "response": exchange.response,
            "duration_ms": exchange.duration_ms,
        }


_NO_LONGER: Final = "the card or the record that waited for it waits no longer"
_IF_WAITED_FOR: Final = "it is tried again if a card or the record still waits for it then"


def _tell(event: Event, state: Call, clients: Mapping[str, str]) -> tuple[str, str, str]:
    """``(kind, title, why)`` of one event in words; ``clients``: id -> name."""
    match event:
        case EffectStarted():
            return "asked", _ask(event.effect, clients), event.why
        case EffectDone():
            return "answered", f"{_ask(event.effect, clients)}: {_answer(event.effect, event.result, clients)}", ""
        case EffectFailed():
            acted = "MoySklad may have acted all the same" if event.ambiguous else "MoySklad did not act"
            again = "it is tried again" if _again_ms(event, state) is not None else _IF_WAITED_FOR
            again = _NO_LONGER if _is_given_up(event, state) else again
            return "failed", f"{_ask(event.effect, clients)}: {event.error}", f"{acted}; {again}"
        case EffectRefused():
            return "refused", f"MoySklad refused: {_ask(event.effect, clients)}: {event.error}", event.remedy
        case EffectDeferred():
            why = f"{event.reason}; {_NO_LONGER}" if _is_given_up(event, state) else event.reason
            return "deferred", f"not asked yet: {_ask(event.effect, clients)}", why
        case RetryRequested():
            return ORDERED, f"{ORDERED_BY}{event.by or 'somebody'}", event.reason
        case CallSettled():
            return "time", "the record is settled", event.reason
        case CallOverdue():
            return "time", "no hangup within the maximum: the cards go, the end stays open", ""
        case CallWrittenOff():
            return "time", "no hangup even after the long grace: recorded with what is known", ""
        case ClickJoined():
            title = "only the telephone of whoever clicked rings" if event.own_leg else "this call came of a click in MoySklad"
            # Not by which login: a replay may be handed on without names.
            return "heard", title, f"{event.extension} asked to call {event.number}: click {event.click}"
        case _:
            return "heard", _heard(event, state), ""


def _heard(event: Event, state: Call) -> str:
    match event:
        case ArrivalObserved():
            return f"incoming call from {event.number} on {event.trunk or 'a trunk'}"
        case DialObserved() if event.direction is Direction.OUTGOING:
            return f"{', '.join(event.extensions) or '?'} dials {event.number} by {event.trunk or 'a trunk'}"
        case DialObserved():
            rung = f"ringing {', '.join(event.extensions) or 'nobody'}"
            if event.direction is not Direction.INTERNAL:
                return f"{rung} for {event.number}"
            return f"{rung} (internal)" if event.number == ANONYMOUS else f"{rung} for {event.number} (internal)"
        case CallerIdObserved():
            return f"channel {event.channel_name or event.channel} is known as {event.caller_id}"
        case BridgeOpened():
            return f"bridge {_short(event.bridge)} opened"
        case BridgeEntered():
            return f"{_who(event.channel, event.channel_name, event.caller_id, state)} entered bridge {_short(event.bridge)}"
        case BridgeLeft():
            return f"{_who(event.channel, event.channel_name, event.caller_id, state)} left bridge {_short(event.bridge)}"
        case BridgeClosed():
            return f"bridge {_short(event.bridge)} closed"
        case HangupObserved():
            return _hangup(event)
        case RingEnded():
            return _stopped(event)
        case HandoverObserved():
            return _handover(event)
        case CardRequested():
            return f"a card was asked for on {', '.join(event.extensions)}"
        case LegAbsorbed():
            return f"this is a leg of call {event.into}: {event.why}"
        case ConsultationObserved():
            recording = ", with a recording" if event.record_url else ""
            return f"leg {event.leg} ended with this customer: {', '.join(event.extensions) or 'nobody'} took over{recording}"
        case _:
            return event.type


def _hangup(event: HangupObserved) -> str:
    how = "answered" if event.answered else "not answered"
    rewritten = ", CallType 2" if event.direction is Direction.INTERNAL else ""
    downloaded = ", downloaded later" if event.downloaded else ""
    recording = ", with a recording" if event.record_url else ""
    who = ", ".join(event.extensions) or "no extension"
    if event.verdict or event.precise:
        by = {"": "nobody heard who hung up", "external": "the other side hung up", "pbx": "the PBX ended it"}
        cause = f", cause {event.cause}" if event.cause is not None else ""
        return f"over: {event.verdict}, {who}; {by.get(event.hung_up_by, f'{event.hung_up_by} hung up')}{cause}"
    if hangups.is_unheard_end(event):
        return "over: it ended while the PBX was not heard"
    return f"hangup: {how}, {who} (CallStatus {event.status or '?'}{rewritten}{downloaded}){recording}"


def _stopped(event: RingEnded) -> str:
    how = event.how or "nobody heard why"
    if event.trunk:
        return f"{event.trunk} did not get through: {how}"
    return f"{', '.join(event.extensions) or 'nobody'} rings no more: {how}"


def _handover(event: HandoverObserved) -> str:
    source, target = event.source or "somebody", event.target or "somebody"
    match event.kind:
        case "blind":
            return f"{source} transfers the call to {target} without asking"
        case "attended":
            return f"{source} transfers the call to {target} after asking"
        case "pickup":
            return f"{target} picks up the call that rings at {source}"
        case "parked":
            return f"{source} parks the call at {target}"
        case "retrieved":
            return f"{target} takes the call that was parked at {source}"
        case _:
            return f"the call passes from {source} to {target}"


def _who(channel: str, name: str, caller_id: str, state: Call) -> str:
    if channel == state.id and state.direction is Direction.INCOMING:
        return "the customer"
    return name.rpartition("-")[0] or caller_id or channel


def _short(bridge: str) -> str:
    """The end of a bridge's id: what a PBX counts up is there."""
    return f"…{bridge[-6:]}" if len(bridge) > 8 else bridge


def _ask(effect: dict[str, Any], clients: Mapping[str, str]) -> str:
    """What was asked of MoySklad, in words."""
    try:
        known = decode_effect(effect)
    except ValueError:
        return str(effect.get("type", "effect"))
    match known:
        case FindContact():
            return f"look up whose number {known.number} is"
        case FindEmployees():
            return f"look up who has {', '.join(known.extensions)}"
        case CreateContact():
            return f"create a client for {known.number}"
        case ConfirmCall():
            return "ask whether MoySklad has the call"
        case InspectCall():
            return "read which recordings the call has"
        case CreateOrder():
            return f"create an order for client {clients.get(known.contact, known.contact)}"
        case CreateTask():
            return f"create a task to call {known.number} back"
        case CompleteTask():
            return f"mark task {known.task} as done"
        case InspectTask():
            return f"see whether task {known.task} is still to be done"
        case ClaimCallback():
            return "see whether the client waits already"
        case KeepTask():
            return "remember whose the task is"
        case HoldTasks():
            return "remember that the account takes no tasks"
        case CloseCallback():
            return "see whether the client waits for a call"
        case RegisterCall() | UpdateCall():
            parts = [f"cards {describe_cards(known.cards)}"] if known.cards else []
            parts += [f"extension {known.extension}"] if known.extension else []
            parts += ["end"] if known.end_ms is not None else []
            parts += [f"{len(known.recordings)} recording(s)"] if known.recordings else []
            parts += ["comment"] if known.comment else []
            what = "register the call" if isinstance(known, RegisterCall) else "update the call"
            return f"{what} ({'; '.join(parts)})" if parts else what


def _answer(effect: dict[str, Any], result: dict[str, Any], clients: Mapping[str, str]) -> str:
    """What MoySklad answered, in words."""
    match effect.get("type"):
        case FindContact.type:
            found = f"{result.get('name') or 'a client without a name'}, client {result.get('contact')}"
            return found if result.get("contact") else "nobody's yet"
        case FindEmployees.type:
            employees = result.get("employees") or {}
            return ", ".join(f"{number} {_colleague(employee)}" for number, employee in employees.items())
        case CreateContact.type:
            return f"client {result.get('contact')}"
        case RegisterCall.type:
            contact = result.get("contact")
            linked = f", linked to client {clients.get(contact, contact)}" if contact else ""
            existed = " (it was there before)" if result.get("existed") else ""
            return f"call {result.get('call')}{linked}{existed}"
        case ConfirmCall.type:
            return f"yes, call {result['call']}" if result.get("call") else "no"
        case InspectCall.type:
            return f"{len(result.get('recordings') or ())} recording(s)"
        case InspectTask.type:
            return "it is" if result.get("open", True) else "no, it was ended in MoySklad itself"
        case CreateOrder.type | CreateTask.type | CompleteTask.type | ClaimCallback.type | HoldTasks.type | CloseCallback.type:
            return _answer_after(str(effect.get("type")), result)
        case _:
            return "done"


def _answer_after(type_: str, result: dict[str, Any]) -> str:
    """The same for what comes after the record."""
    match type_:
        case CreateOrder.type if result.get("open"):
            return f"order {result['open']} is open: no second one"
        case CreateOrder.type:
            made = f"order {result.get('name') or result.get('order')}"
            return f"{made}; without {result['without']}" if result.get("without") else made
        case CreateTask.type:
            return f"task {result.get('task')}" + (" (it was there before)" if result.get("existed") else "")
        case CompleteTask.type:
            return "somebody has deleted it" if result.get("gone") else "done"
        case ClaimCallback.type if result.get("granted"):
            return f"no, but the account takes no tasks, as call {result['held_by']} was told" if result.get("held_by") else "no"
        case ClaimCallback.type if result.get("by"):
            return f"yes, the task of call {result['by']} is his"
        case ClaimCallback.type:
            return "no, and somebody has talked with him since"
        case HoldTasks.type:
            return f"call {result.get('told_by')} is the one to tell a person"
        case _:
            return f"yes, {len(result['tasks'])} task(s)" if result.get("tasks") else "no"


def _colleague(employee: Any) -> str:
    if not isinstance(employee, dict):
        return "is nobody's"
    return f"is {employee.get('name') or employee.get('id') or 'somebody'}"
