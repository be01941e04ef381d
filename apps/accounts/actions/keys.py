"""Programs' API keys. A person makes their own; that person or an SRE admin revokes them."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from apps.accounts import api_keys
from apps.accounts.actions.common import MAX_ID
from apps.accounts.models import ApiKey, User
from apps.accounts.names import KeyName
from apps.core import instants
from apps.core.actions import Action, ActionInput, Call, Event, Outcome, Preview, Risk, Touch, register
from apps.core.errors import BadRequest, NotAllowed, NotFound

MAX_KEY_DAYS = 3660


type KeyRecord = dict[str, int | str | None]


class CreateApiKeyInput(ActionInput):
    name: KeyName = Field(description="What the key is for, such as `backstage`.")
    expires_in_days: int | None = Field(
        default=None, ge=1, le=MAX_KEY_DAYS, title="Expires in", json_schema_extra={"unit": "days"}
    )


@register
class CreateApiKey(Action[CreateApiKeyInput, KeyRecord]):
    """Create a key that acts as you. Only the first answer shows it: no replay and no page shows it again."""

    name = "accounts.create_api_key"
    title = "Create API key"
    permission = "accounts.manage_own_keys"
    risk = Risk.MEDIUM
    Input = CreateApiKeyInput
    success_status = 201
    answer_shows_once = True

    def guard(self, call: Call[CreateApiKeyInput]) -> None:
        if call.actor.user is None:
            raise BadRequest("Only people have keys. The system has none.")
        if call.actor.api_key_prefix:
            # Otherwise somebody with a stolen key that expires could make new ones for ever.
            raise NotAllowed("A key cannot make another. Sign in and make it on the page API keys.")

    def preview(self, call: Call[CreateApiKeyInput]) -> Preview:
        user = call.actor.user
        assert user is not None  # the guard refuses the system
        return Preview(
            summary=f"Whoever holds the key acts as {user.get_username()}, {user.get_role_display()}.",
            undo="Revoke it on the page API keys.",
        )

    def execute(self, call: Call[CreateApiKeyInput]) -> Outcome[KeyRecord]:
        user = call.actor.user
        assert user is not None  # the guard refuses the system
        # The lock makes sure that no key outlives a deactivation that runs at the same moment.
        owner = User.objects.select_for_update(no_key=True).filter(pk=user.pk, is_active=True)
        if not owner.exists():
            raise NotAllowed("Your account was deactivated, so you can make no key. Ask an SRE admin.")
        days = call.input.expires_in_days
        made = api_keys.make()
        key = ApiKey.objects.create(
            user=user,
            name=call.input.name,
            prefix=made.prefix,
            key_hash=made.key_hash,
            expires_at=instants.now() + timedelta(days=days) if days else None,
        )
        key.refresh_from_db(fields=["created_at"])
        return Outcome(
            result=describe_key(key) | {"key": None, "note": "The key is shown once, in the first answer."},
            shown_once={"key": made.raw},
            object_type="api_key",
            object_id=str(key.pk),
            object_label=str(key),
            after=describe_key(key),
            events=[Event("accounts.api_key_created", {"api_key_id": key.pk})],
        )


def describe_key(key: ApiKey) -> KeyRecord:
    """Return a key's record: everything but its hash."""
    return {
        "id": key.pk,
        "name": key.name,
        "prefix": key.prefix,
        "user": key.user.get_username(),
        "created_at": key.created_at.isoformat(),
        "expires_at": key.expires_at.isoformat() if key.expires_at else None,
        "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
    }


class RevokeApiKeyInput(ActionInput):
    key_id: int = Field(ge=1, le=MAX_ID, json_schema_extra={"widget": "hidden"})


@register
class RevokeApiKey(Action[RevokeApiKeyInput, KeyRecord]):
    """End a key at once: your own or, for an SRE admin, anybody's."""

    name = "accounts.revoke_api_key"
    title = "Revoke API key"
    permission = "accounts.manage_own_keys"
    risk = Risk.MEDIUM
    Input = RevokeApiKeyInput

    def target(self, data: RevokeApiKeyInput, *, lock: bool) -> ApiKey:
        keys = ApiKey.objects.select_related("user")
        keys = keys.select_for_update(of=("self",)) if lock else keys
        key = keys.filter(pk=data.key_id).first()
        if key is None:
            raise NotFound("There is no such key.")
        return key

    def guard(self, call: Call[RevokeApiKeyInput]) -> None:
        user = call.actor.user
        if (
            user is not None
            and call.target.user_id != user.pk
            and not call.actor.may("accounts.manage_users")
        ):
            # The same answer as for a key that does not exist, so that nobody learns the numbers of others' keys.
            raise NotFound("There is no such key.")

    def preview(self, call: Call[RevokeApiKeyInput]) -> Preview:
        key: ApiKey = call.target
        used = f"last used {key.last_used_at:%Y-%m-%d %H:%M} UTC" if key.last_used_at else "never used"
        return Preview(
            summary=f"{key.name} ({key.prefix}…, {used}) stops working at once.",
            touches=[Touch(1, "key", [key.name])],
            undo="A revoked key cannot be restored. Make a new one.",
        )

    def execute(self, call: Call[RevokeApiKeyInput]) -> Outcome[KeyRecord]:
        key: ApiKey = call.target
        before = describe_key(key)
        if key.revoked_at is None:
            key.revoked_at = instants.now()
            key.save(update_fields=["revoked_at"])
        return Outcome(
            result=describe_key(key),
            object_type="api_key",
            object_id=str(key.pk),
            object_label=str(key),
            before=before,
            after=describe_key(key),
            events=[Event("accounts.api_key_revoked", {"api_key_id": key.pk})],
        )
