"""The rules for names of people and teams."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from apps.accounts.models import User
from apps.core.errors import Conflict
from apps.core.text.alike import look_of
from apps.core.text.names import (
    FILLED_NAME_PATTERN,
    NAME_PATTERN,
    SIGN_IN_PATTERN,
    usable_name,
    usable_sign_in,
    visible,
)

Username = Annotated[str, Field(min_length=1, max_length=150)]
"""The name of an existing person, whatever it holds."""
NewUsername = Annotated[
    str,
    Field(min_length=1, max_length=150, json_schema_extra={"pattern": SIGN_IN_PATTERN}),
    AfterValidator(usable_sign_in),
]
"""The name of a new person."""
TeamName = Annotated[
    str, Field(max_length=200, json_schema_extra={"pattern": NAME_PATTERN}), AfterValidator(usable_name)
]
NewTeamName = Annotated[
    str,
    Field(min_length=1, max_length=200, json_schema_extra={"pattern": FILLED_NAME_PATTERN}),
    AfterValidator(usable_name),
]
KeyName = Annotated[
    str,
    Field(min_length=1, max_length=100, json_schema_extra={"pattern": FILLED_NAME_PATTERN}),
    AfterValidator(usable_name),
]
"""The name of a new API key."""


def refuse_taken(username: str) -> None:
    """Raise :class:`Conflict` where somebody has this name or one that looks like it."""
    look = look_of(username)
    for other in User.objects.values_list("username", flat=True):
        if other.casefold() == username.casefold():
            raise Conflict(f"There is already a user called {visible(other)}.")
        if look_of(other) == look:
            raise Conflict(
                f"There is already a user called {visible(other)}, whose name looks the same. Take another."
            )
