"""Actions: one class declares a change, and its button, form, API call and command are derived from it.

A subclass of :class:`Action` says what it is called, what it takes, which permission it needs on which object, how
risky it is and what it *would* do (:meth:`Action.preview`, without any effect), and does it (:meth:`Action.execute`).
It never writes the audit entry or an event itself: it returns them in its :class:`Outcome`, and the dispatcher
(:mod:`apps.core.dispatcher`) writes them in the same transaction.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypedDict

from django.db import models
from pydantic import BaseModel, ConfigDict

from apps.core.errors import NotFound
from apps.core.models import AuditEntry
from apps.ui.forms import FormValues

if TYPE_CHECKING:
    from apps.accounts.models import User


class Risk(enum.StrEnum):
    """How much an action can hurt. A policy on approvals can depend on it."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Actor:
    """On whose behalf something happens, and from where. ``user`` is ``None`` only for the system itself."""

    user: User | None
    source: AuditEntry.Source
    name: str
    ip: str | None = None
    request_id: str = ""
    api_key_prefix: str = ""

    @classmethod
    def system(cls, name: str, source: AuditEntry.Source = AuditEntry.Source.TASK) -> Actor:
        """Return the actor for work that no person asked for, such as a schedule."""
        return cls(user=None, source=source, name=f"system: {name}")

    @classmethod
    def person(cls, user: User, source: AuditEntry.Source, **where: Any) -> Actor:
        """Return the actor for a signed-in user."""
        return cls(user=user, source=source, name=user.get_username(), **where)

    @property
    def key(self) -> str:
        """The text that separates this actor's idempotency keys from others'."""
        return f"user:{self.user.pk}" if self.user else self.name

    def may(self, permission: str, target: models.Model | None = None) -> bool:
        """Return whether this actor holds a permission, on one object or in general."""
        return self.user is None or self.user.has_perm(permission, target)

    def refusal(self, permission: str, target: models.Model | None = None) -> str:
        """Return a sentence that says who may do it."""
        return self.user.refusal(permission, target) if self.user else "the system may not do this."


NOT_BLANK_PATTERN = r"[^\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
"""Text with more than what is trimmed: Unicode's white space, of which each dialect's ``\\s`` is another part."""


def blank_is_empty(schema: dict[str, Any]) -> None:
    """State in a schema that text which must not be empty must also hold more than blanks, because it is trimmed."""
    for part in schema.get("properties", {}).values():
        if part.get("type") == "string" and part.get("minLength") and not {"pattern", "format"} & set(part):
            part["pattern"] = NOT_BLANK_PATTERN


class ActionInput(BaseModel):
    """The base of every action's input: unknown fields are refused, text is trimmed."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, json_schema_extra=blank_is_empty)


@dataclass(frozen=True, slots=True)
class Call[InputT: ActionInput]:
    """One use of an action: who, with what, on which (locked) object."""

    actor: Actor
    input: InputT
    target: Any = None


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One line of a diff, as people read it."""

    label: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Touch:
    """One kind of thing that a change would reach: how many, what, and the first few names."""

    count: int
    label: str
    names: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """What an action would change. Computing it has no side effect and leaves no audit entry."""

    summary: str
    changes: Sequence[FieldChange] = ()
    touches: Sequence[Touch] = ()
    warnings: Sequence[str] = ()
    undo: str = ""
    submit: str = ""
    """The label of the button, where it depends on the input; empty for the action's own."""


@dataclass(frozen=True, slots=True)
class Undo:
    """The call that takes a change back: an action of its own, with its own audit entry."""

    action: str
    values: FormValues
    """Its input, as Python values. A dialog can hold every field of it."""


@dataclass(frozen=True, slots=True)
class Event:
    """A fact to publish when the change commits."""

    topic: str
    payload: Mapping[str, object] = field(default_factory=dict)
    aggregate: str = ""


@dataclass(frozen=True, slots=True)
class Outcome[ResultT: Mapping[str, object]]:
    """What an action did: the answer for the caller and the record for the audit trail."""

    result: ResultT
    object_type: str
    object_id: str
    object_label: str = ""
    service_id: str = ""
    before: Any = None
    after: Any = None
    events: Sequence[Event] = ()
    shown_once: Mapping[str, str] = field(default_factory=dict)
    """What only the caller gets, once, beside ``result``. It is stored nowhere, so a replayed answer lacks it."""
    is_routine: bool = False
    """Nobody asked for it in person, nothing went wrong and it is on record elsewhere, so the audit trail leaves it
    out. It counts only where the system acts."""


class Nothing(TypedDict):
    """The answer of an action that nobody waits for."""


type Mark = Literal["", "ok", "warn"]
"""``ok`` for something that now holds, ``warn`` for something refused or ended. Most actions have none."""


def subject_after(title: str, entry: AuditEntry) -> str:
    """Return the title and the subject of an entry: ``Create user: ada``."""
    subject = entry.object_label or entry.object_id
    return f"{title}: {subject}" if subject else title


class Action[InputT: ActionInput, ResultT: Mapping[str, object]]:
    """A declared change: what it takes, and what it answers. Subclass it in an app's ``actions.py`` and register it
    with :func:`register`.
    """

    name: ClassVar[str]
    """Stable, dotted: ``slos.accept``. Part of the API."""
    title: ClassVar[str]
    """The button's label: a verb and its object."""
    permission: ClassVar[str]
    risk: ClassVar[Risk] = Risk.LOW
    Input: ClassVar[type[ActionInput]]
    success_status: ClassVar[int] = 200
    answer_shows_once: ClassVar[bool] = False
    """Whether its answer holds a secret that is never shown again. The common dialog would lose it when it closes."""
    is_internal: ClassVar[bool] = False
    """Whether only the code itself does it, for example after a sign-in.

    It has no button, API call or command and needs no permission; :func:`apps.core.dispatcher.record` runs it.
    """
    mark: ClassVar[Mark] = ""
    """The mark beside its audit entries in a timeline."""

    def target(self, data: InputT, *, lock: bool) -> Any:
        """Return the object that the permission applies to, locked for the change when ``lock`` is true.

        ``None`` means that the permission is general. Raises :class:`apps.core.errors.NotFound` where the object does
        not exist.
        """
        return None

    def around(self, actor: Actor, data: InputT) -> AbstractContextManager[None]:
        """Return a block around the whole transaction of a call. What it writes stays when the call is refused."""
        return nullcontext()

    def guard(self, call: Call[InputT]) -> None:
        """Raise where the actor may not do this although they hold the permission. Most actions need nothing here."""

    def done(self, result: ResultT) -> str:
        """Return one sentence that says what was done, from the action's result."""
        return f"{self.title}: done."

    def sentence(self, entry: AuditEntry) -> str:
        """Return one sentence that says what an audit entry of this action did, without who and when.

        Audit entries are never rewritten, so an older version may have written the record. Where this raises because a
        key is missing, :func:`apps.core.sentences.sentence` falls back on the title.
        """
        return subject_after(self.title, entry)

    def undo(self, entry: AuditEntry) -> Undo | None:
        """Return the call that takes back what an audit entry of this action did. Most actions have none."""
        return None

    def preview(self, call: Call[InputT]) -> Preview:
        """Return what would change, without changing anything."""
        raise NotImplementedError

    def execute(self, call: Call[InputT]) -> Outcome[ResultT]:
        """Make the change, inside the dispatcher's transaction. Long work is only recorded here; a task does it."""
        raise NotImplementedError


type AnyAction = Action[Any, Any]


def taken_back(action: AnyAction) -> str:
    """Return the reason that stands in the audit trail where somebody takes a change back at once."""
    return f"Takes back “{action.title}”."


_registry: dict[str, AnyAction] = {}


def register[ActionT: AnyAction](action: type[ActionT]) -> type[ActionT]:
    """Register an action under its name."""
    if action.name in _registry:
        raise RuntimeError(f"Two actions are called {action.name}.")
    _registry[action.name] = action()
    return action


def get(name: str) -> AnyAction:
    """Return the action of that name or raise :class:`NotFound`."""
    try:
        return _registry[name]
    except KeyError:
        raise NotFound(f"There is no action called {name}.") from None


def all_actions() -> list[AnyAction]:
    """Return every registered action, by name."""
    return [_registry[name] for name in sorted(_registry)]


def offered(name: str) -> AnyAction:
    """Return the action of that name for a caller. Raises :class:`NotFound` for unknown and for internal actions."""
    action = get(name)
    if action.is_internal:
        raise NotFound(f"There is no action called {name}.")
    return action


def offered_actions() -> list[AnyAction]:
    """Return the actions that people and programs may ask for, by name."""
    return [action for action in all_actions() if not action.is_internal]


type Gate = Callable[[AnyAction, Call[Any]], None]

gates: list[Gate] = []
"""Checks that can still stop an authorised call, such as a policy that requires a second person. A gate raises."""
