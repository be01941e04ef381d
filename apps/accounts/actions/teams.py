"""Teams: an SRE admin creates, renames and archives them, and adds and removes members."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from pydantic import Field

from apps.accounts.actions.common import (
    MAX_ID,
    Rationale,
    find_user,
    recorded,
    require_a_present_admin,
    touch,
)
from apps.accounts.models import Team, User
from apps.accounts.names import NewTeamName, Username
from apps.core import instants
from apps.core.actions import (
    Action,
    ActionInput,
    Call,
    Event,
    FieldChange,
    Outcome,
    Preview,
    Risk,
    Undo,
    register,
    taken_back,
)
from apps.core.errors import Conflict, NotFound
from apps.core.models import AuditEntry
from apps.ui.format import plural

TeamId = Annotated[int, Field(ge=1, le=MAX_ID, json_schema_extra={"widget": "hidden"})]


class TeamRecord(TypedDict):
    """A team, as answers and the audit trail have it."""

    id: int
    name: str
    members: list[str]
    archived_at: str | None


def describe_team(team: Team) -> TeamRecord:
    """Return a team's record for the audit trail."""
    return {
        "id": team.pk,
        "name": team.name,
        "members": sorted(team.members.values_list("username", flat=True)),
        "archived_at": team.archived_at.isoformat() if team.archived_at else None,
    }


def _find(team_id: int, *, lock: bool) -> Team:
    teams = Team.objects.select_for_update() if lock else Team.objects
    team = teams.filter(pk=team_id).first()
    if team is None:
        raise NotFound("There is no such team.")
    return team


def _refuse_taken(name: str, team: Team | None = None) -> None:
    others = Team.objects.filter(name__iexact=name)
    if (others if team is None else others.exclude(pk=team.pk)).exists():
        raise Conflict(f"There is already a team called {name}.")


def _outcome(team: Team, topic: str, before: TeamRecord | None) -> Outcome[TeamRecord]:
    return Outcome(
        result=describe_team(team),
        object_type="team",
        object_id=str(team.pk),
        object_label=team.name,
        before=before,
        after=describe_team(team),
        events=[Event(topic, {"team_id": team.pk})],
    )


def _moved(entry: AuditEntry) -> str:
    """Return who an entry says was added to a team or removed from it."""
    (who,) = set(recorded(entry.before)["members"]) ^ set(recorded(entry.after)["members"])
    return str(who)


class CreateTeamInput(ActionInput):
    name: NewTeamName


@register
class CreateTeam(Action[CreateTeamInput, TeamRecord]):
    """Make a team. The role of each member says what they may do with its services."""

    name = "accounts.create_team"
    title = "Create team"
    permission = "accounts.manage_users"
    Input = CreateTeamInput
    success_status = 201

    def guard(self, call: Call[CreateTeamInput]) -> None:
        require_a_present_admin(call)
        _refuse_taken(call.input.name)

    def preview(self, call: Call[CreateTeamInput]) -> Preview:
        return Preview(
            summary=f"Team {call.input.name} is created without members.", undo="Archive the team."
        )

    def execute(self, call: Call[CreateTeamInput]) -> Outcome[TeamRecord]:
        return _outcome(Team.objects.create(name=call.input.name), "accounts.team_created", None)

    def done(self, result: TeamRecord) -> str:
        return f"Team {result['name']} is created."

    def undo(self, entry: AuditEntry) -> Undo:
        return Undo("accounts.archive_team", {"team_id": int(entry.object_id), "rationale": taken_back(self)})

    def sentence(self, entry: AuditEntry) -> str:
        return f"Team {entry.object_label} created"


class _OnTeam[InputT: ActionInput](Action[InputT, TeamRecord]):
    permission = "accounts.manage_users"

    def target(self, data: Any, *, lock: bool) -> Team:
        return _find(data.team_id, lock=lock)

    def guard(self, call: Call[InputT]) -> None:
        require_a_present_admin(call)


class RenameTeamInput(ActionInput):
    team_id: TeamId
    name: NewTeamName


@register
class RenameTeam(_OnTeam[RenameTeamInput]):
    """Rename a team. It keeps its members and services. A file or graph with the old name creates that team again."""

    name = "accounts.rename_team"
    title = "Rename team"
    Input = RenameTeamInput

    def guard(self, call: Call[RenameTeamInput]) -> None:
        super().guard(call)
        _refuse_taken(call.input.name, call.target)

    def preview(self, call: Call[RenameTeamInput]) -> Preview:
        services = list(call.target.services.order_by("service_id").values_list("service_id", flat=True))
        return Preview(
            summary=f"Team {call.target.name} is now called {call.input.name} everywhere.",
            changes=[FieldChange("Name", call.target.name, call.input.name)],
            touches=touch(len(services), "service", "services", services),
            warnings=["An import with the old name creates a team of that name again."],
            undo="Rename it back.",
        )

    def execute(self, call: Call[RenameTeamInput]) -> Outcome[TeamRecord]:
        team: Team = call.target
        before = describe_team(team)
        team.name = call.input.name
        team.save(update_fields=["name"])
        return _outcome(team, "accounts.team_renamed", before)

    def done(self, result: TeamRecord) -> str:
        return f"The team is called {result['name']}."

    def undo(self, entry: AuditEntry) -> Undo:
        values = {"team_id": int(entry.object_id), "name": recorded(entry.before)["name"]}
        return Undo("accounts.rename_team", values)

    def sentence(self, entry: AuditEntry) -> str:
        return f"Team {recorded(entry.before)['name']} renamed to {recorded(entry.after)['name']}"


class ArchiveTeamInput(ActionInput):
    team_id: TeamId
    rationale: Rationale


@register
class ArchiveTeam(_OnTeam[ArchiveTeamInput]):
    """Archive a team without services. Its members leave it; the audit trail keeps its name."""

    name = "accounts.archive_team"
    title = "Archive team"
    risk = Risk.MEDIUM
    Input = ArchiveTeamInput

    def guard(self, call: Call[ArchiveTeamInput]) -> None:
        super().guard(call)
        team: Team = call.target
        count = team.services.count()
        if count:
            raise Conflict(
                f"Team {team.name} owns {plural(count, 'service')}. Give them to another team first."
            )
        if team.archived_at is not None:
            raise Conflict(f"Team {team.name} is archived already.")

    def preview(self, call: Call[ArchiveTeamInput]) -> Preview:
        names = list(call.target.members.order_by("username").values_list("username", flat=True))
        return Preview(
            summary=f"Team {call.target.name} is no longer offered, and nobody is in it.",
            touches=touch(len(names), "member who leaves", "members who leave", names),
            undo="Restore the team and add its members again.",
        )

    def execute(self, call: Call[ArchiveTeamInput]) -> Outcome[TeamRecord]:
        team: Team = call.target
        before = describe_team(team)
        team.members.clear()
        team.archived_at = instants.now()
        team.save(update_fields=["archived_at"])
        return _outcome(team, "accounts.team_archived", before)

    def done(self, result: TeamRecord) -> str:
        return f"Team {result['name']} is archived."

    def sentence(self, entry: AuditEntry) -> str:
        return f"Team {entry.object_label} archived"


class RestoreTeamInput(ActionInput):
    team_id: TeamId


@register
class RestoreTeam(_OnTeam[RestoreTeamInput]):
    """Restore an archived team."""

    name = "accounts.restore_team"
    title = "Restore team"
    Input = RestoreTeamInput

    def guard(self, call: Call[RestoreTeamInput]) -> None:
        super().guard(call)
        if call.target.archived_at is None:
            raise Conflict(f"Team {call.target.name} is not archived.")

    def preview(self, call: Call[RestoreTeamInput]) -> Preview:
        return Preview(summary=f"Team {call.target.name} is in use again.", undo="Archive the team.")

    def execute(self, call: Call[RestoreTeamInput]) -> Outcome[TeamRecord]:
        team: Team = call.target
        before = describe_team(team)
        team.archived_at = None
        team.save(update_fields=["archived_at"])
        return _outcome(team, "accounts.team_restored", before)

    def done(self, result: TeamRecord) -> str:
        return f"Team {result['name']} is in use again."

    def undo(self, entry: AuditEntry) -> Undo:
        return Undo("accounts.archive_team", {"team_id": int(entry.object_id), "rationale": taken_back(self)})

    def sentence(self, entry: AuditEntry) -> str:
        return f"Team {entry.object_label} restored"


class MemberInput(ActionInput):
    team_id: TeamId
    username: Username


@register
class AddMember(_OnTeam[MemberInput]):
    """Add a person to a team. A service owner then decides on its services."""

    name = "accounts.add_member"
    title = "Add member"
    risk = Risk.MEDIUM
    Input = MemberInput

    def guard(self, call: Call[MemberInput]) -> None:
        super().guard(call)
        team, user = call.target, find_user(call.input.username, lock=False)
        if team.archived_at is not None:
            raise Conflict(f"Team {team.name} is archived. Restore it first.")
        if not user.is_active:
            raise Conflict(f"{user.get_username()} is deactivated. Reactivate the user first.")
        if team.members.filter(pk=user.pk).exists():
            raise Conflict(f"{user.get_username()} is in team {team.name} already.")

    def preview(self, call: Call[MemberInput]) -> Preview:
        user = find_user(call.input.username, lock=False)
        services = list(call.target.services.order_by("service_id").values_list("service_id", flat=True))
        decides = user.role == User.Role.SERVICE_OWNER
        return Preview(
            summary=f"{user.get_username()} is in team {call.target.name}"
            + (
                " and decides on its services."
                if decides
                else f"; as {user.get_role_display()}, it gives no rights."
            ),
            touches=touch(len(services), "service", "services", services) if decides else [],
            undo="Remove the member.",
        )

    def execute(self, call: Call[MemberInput]) -> Outcome[TeamRecord]:
        before = describe_team(call.target)
        call.target.members.add(find_user(call.input.username, lock=False))
        return _outcome(call.target, "accounts.team_members_changed", before)

    def done(self, result: TeamRecord) -> str:
        return f"Team {result['name']} has {plural(len(result['members']), 'member')}."

    def undo(self, entry: AuditEntry) -> Undo:
        return Undo("accounts.remove_member", {"team_id": int(entry.object_id), "username": _moved(entry)})

    def sentence(self, entry: AuditEntry) -> str:
        return f"Member {_moved(entry)} added to team {entry.object_label}"


@register
class RemoveMember(_OnTeam[MemberInput]):
    """Remove a person from a team. Their role then gives them no rights on its services."""

    name = "accounts.remove_member"
    title = "Remove member"
    risk = Risk.MEDIUM
    Input = MemberInput

    def guard(self, call: Call[MemberInput]) -> None:
        super().guard(call)
        if not call.target.members.filter(username=call.input.username).exists():
            raise Conflict(f"{call.input.username} is not in team {call.target.name}.")

    def preview(self, call: Call[MemberInput]) -> Preview:
        team: Team = call.target
        others = team.members.filter(is_active=True, role=User.Role.SERVICE_OWNER).exclude(
            username=call.input.username
        )
        services = list(team.services.order_by("service_id").values_list("service_id", flat=True))
        alone = services if services and not others.exists() else []
        return Preview(
            summary=f"{call.input.username} leaves team {team.name}.",
            touches=touch(
                len(alone), "service that loses its last owner", "services that lose their last owner", alone
            ),
            undo="Add the member again.",
        )

    def execute(self, call: Call[MemberInput]) -> Outcome[TeamRecord]:
        before = describe_team(call.target)
        call.target.members.remove(find_user(call.input.username, lock=False))
        return _outcome(call.target, "accounts.team_members_changed", before)

    def done(self, result: TeamRecord) -> str:
        return f"Team {result['name']} has {plural(len(result['members']), 'member')}."

    def undo(self, entry: AuditEntry) -> Undo:
        return Undo("accounts.add_member", {"team_id": int(entry.object_id), "username": _moved(entry)})

    def sentence(self, entry: AuditEntry) -> str:
        return f"Member {_moved(entry)} removed from team {entry.object_label}"
