"""Makes the lines that a command prints for an error, such as the faults of imported files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from apps.core.errors import BallastError, Fault


def described(error: BallastError) -> str:
    """Return the error with its fields, one on each line."""
    problems = error.extra.get("problems")
    if not problems:
        return "\n".join(
            [error.detail, *(f"  {problem.path}: {problem.message}" for problem in error.fields)]
        )
    return "\n".join([error.detail, *problem_lines(problems, int(error.extra["error_count"]))])


def problem_lines(problems: Sequence[Fault], count: int) -> Iterator[str]:
    """Yield a line for each problem with a row, and one for the rest of all ``count`` problems."""
    for problem in problems:
        field = f" {problem['field']}:" if problem["field"] else ""
        yield f"  {problem['file']}:{problem['line']}:{field} {problem['reason']}"
    if count > len(problems):
        yield f"  … and {count - len(problems):,} more."
