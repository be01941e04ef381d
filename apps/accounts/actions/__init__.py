"""Actions of a person on their own account, and of an SRE admin on people, teams, sessions and keys."""

from apps.accounts.actions import keys, passwords, people, sessions, sign_ins, standing, teams
from apps.accounts.actions.keys import CreateApiKey, CreateApiKeyInput
from apps.accounts.actions.people import CreateUser, CreateUserInput, SetRole, SetRoleInput

__all__ = [
    "CreateApiKey",
    "CreateApiKeyInput",
    "CreateUser",
    "CreateUserInput",
    "SetRole",
    "SetRoleInput",
    "keys",
    "passwords",
    "people",
    "sessions",
    "sign_ins",
    "standing",
    "teams",
]
