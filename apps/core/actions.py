"""What a lever is: one class that declares a change, from which button, form, API call and command are derived.

A subclass of :class:`Action` says what it is called, what it takes, which permission it needs on which object, how
risky it is, what it *would* do (:meth:`Action.preview`, without any effect) and does it (:meth:`Action.execute`). It
never writes the audit entry or an event itself: it returns them in its :class:`Outcome`, and the dispatcher
(:mod:`apps.core.dispatcher`) writes them in the same transaction.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from django.db import models
from pydantic import BaseModel, ConfigDict

from apps.core.errors import NotFound
from apps.core.models import AuditEntry

if TYPE_CHECKING:
    from apps.accounts.models import User


class Risk(enum.StrEnum):
    """How much an action can hurt: what a policy on approvals goes by."""

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
        """Return the actor for work that nobody asked for in person, such as a schedule."""
        return cls(user=None, source=source, name=f"system: {name}")

    @classmethod
    def person(cls, user: User, source: AuditEntry.Source, **where: Any) -> Actor:
        """Return the actor for a signed-in user."""
        return cls(user=user, source=source, name=user.get_username(), **where)

    @property
    def key(self) -> str:
        """What tells this actor's idempotency keys apart from others'."""
        return f"user:{self.user.pk}" if self.user else self.name

    def may(self, permission: str, target: models.Model | None = None) -> bool:
        """Say whether this actor holds a permission, on one object or in general."""
        return self.user is None or self.user.has_perm(permission, target)

    def refusal(self, permission: str, target: models.Model | None = None) -> str:
        """Return a sentence that names who may do what this actor may not."""
        return self.user.refusal(permission, target) if self.user else "the system may not do this."


def blank_is_empty(schema: dict[str, Any]) -> None:
    """Say in a schema what trimming means: text that must not be empty has to hold more than blanks."""
    for part in schema.get("properties", {}).values():
        if part.get("type") == "string" and part.get("minLength") and not {"pattern", "format"} & set(part):
            part["pattern"] = r"\S"


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
    """One thing that a change would reach: how many, what, and the first few names."""

    count: int
    label: str
    names: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """What would happen. Computed without side effect; opening a dialog leaves no trace in the audit trail."""

    summary: str
    changes: Sequence[FieldChange] = ()
    touches: Sequence[Touch] = ()
    warnings: Sequence[str] = ()
    undo: str = ""
    submit: str = ""
    """The words of the button where they name what is chosen; without them the action's own."""


@dataclass(frozen=True, slots=True)
class Event:
    """A fact to publish when the change commits."""

    topic: str
    payload: dict[str, Any] = field(default_factory=dict)
    aggregate: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an action did: the answer for the caller and the record for the audit trail."""

    result: dict[str, Any]
    object_type: str
    object_id: str
    object_label: str = ""
    service_id: str = ""
    before: Any = None
    after: Any = None
    events: Sequence[Event] = ()
    shown_once: dict[str, Any] = field(default_factory=dict)
    """What the caller alone gets, once, beside ``result``: kept nowhere, missing from a replayed answer."""


type Mark = Literal["", "ok", "warn"]
"""``ok`` for what holds from now on, ``warn`` for what was refused or ended; most actions have none."""


def subject_after(title: str, entry: AuditEntry) -> str:
    """Return a title and what the entry is about: ``Create user: ada``."""
    subject = entry.object_label or entry.object_id
    return f"{title}: {subject}" if subject else title


class Action[InputT: ActionInput]:
    """A lever. Subclass it in an app's ``actions.py`` and register it with :func:`register`."""

    name: ClassVar[str]
    """Stable, dotted: ``slos.accept``. Part of the API."""
    title: ClassVar[str]
    """The button's words: a verb and its object."""
    permission: ClassVar[str]
    risk: ClassVar[Risk] = Risk.LOW
    Input: ClassVar[type[ActionInput]]
    success_status: ClassVar[int] = 200
    answer_shows_once: ClassVar[bool] = False
    """Its answer holds what nothing shows again, such as a password; the common dialog, which closes, would lose it."""
    is_internal: ClassVar[bool] = False
    """The code itself does it, in consequence of something, such as a sign-in. No button, API call or command reaches
    it, and no permission is asked; :func:`apps.core.dispatcher.record` runs it."""
    mark: ClassVar[Mark] = ""
    """The mark beside its entries in a timeline."""

    def target(self, data: InputT, *, lock: bool) -> Any:
        """Return the object that the permission is asked on, locked for the change when ``lock`` is true.

        Raises :class:`apps.core.errors.NotFound` where there is none. ``None`` means the permission is general.
        """
        return None

    def guard(self, call: Call[InputT]) -> None:
        """Raise where the actor may not do this although the permission allows it. Most actions need nothing here."""

    def button(self, values: dict[str, Any]) -> str:
        """Return the words of the button that does it: a verb and its object, as far as the values tell."""
        return self.title

    def done(self, result: dict[str, Any]) -> str:
        """Return one sentence that says what was done, from the action's result."""
        return f"{self.title}: done."

    def sentence(self, entry: AuditEntry) -> str:
        """Say what an entry of this action in the audit trail did, without who and when.

        Entries are never rewritten, so the record may be of an older version: :func:`apps.core.sentences.sentence`
        falls back on the title where this raises because something is not there.
        """
        return subject_after(self.title, entry)

    def preview(self, call: Call[InputT]) -> Preview:
        """Say what would happen, without doing any of it."""
        raise NotImplementedError

    def execute(self, call: Call[InputT]) -> Outcome:
        """Do it, inside the dispatcher's transaction. Long work is only recorded here; a task does it."""
        raise NotImplementedError


type AnyAction = Action[Any]

_registry: dict[str, AnyAction] = {}


def register[ActionT: AnyAction](action: type[ActionT]) -> type[ActionT]:
    """Make an action known under its name."""
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
    """Return the action of that name for somebody who asks for it. Raises :class:`NotFound` for internal ones, too."""
    action = get(name)
    if action.is_internal:
        raise NotFound(f"There is no action called {name}.")
    return action


def offered_actions() -> list[AnyAction]:
    """Return the actions that people and programs may ask for, by name."""
    return [action for action in all_actions() if not action.is_internal]


type Gate = Callable[[AnyAction, Call[Any]], None]

gates: list[Gate] = []
"""What may still hold an authorised call back, such as a policy that asks for a second person. A gate raises."""
