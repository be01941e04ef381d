"""``manage.py telemetry propose``: shows the families found among a server's metrics, or writes them as a file."""

from __future__ import annotations

from typing import Protocol

from apps.telemetry.management.running import request_and_run
from apps.telemetry.proposals import sentences, toml
from apps.telemetry.proposals.documents import Proposal, Survey


class Output(Protocol):
    """A stream that takes lines."""

    def write(self, text: str) -> object: ...


def propose(out: Output, err: Output, *, as_toml: bool, everything: bool) -> None:
    """Look at the source's metrics; write the proposals to ``out``, and progress and remarks to ``err``.

    Parameters:
        as_toml: write the recommended proposals as a file for ``BALLAST_CONFIG``.
        everything: also write proposals that are not recommended.
    """
    run = request_and_run("telemetry.survey", {}, label="propose", unit=" metrics")
    survey = Survey.model_validate(run.summary)
    if as_toml:
        out.write(as_file(survey, everything=everything))
    else:
        for proposal in survey.proposals:
            _tell(out, proposal)
    for text in remarks(survey):
        err.write(text)


def as_file(survey: Survey, *, everything: bool = False) -> str:
    """Return the recommended proposals, or all, as the text of a file, without those of built-in families."""
    chosen = [one for one in survey.proposals if not one.preset and (everything or one.is_recommended)]
    if not chosen:
        return "# The families that Ballast has already read what is there; nothing needs to be added.\n"
    return toml.document(
        {one.name: one.family for one in chosen},
        comments={one.name: [sentences.summary(one), *sentences.remarks(one)] for one in chosen},
    )


def remarks(survey: Survey) -> list[str]:
    """Return sentences on how much a survey looked at, and what it left out."""
    found = [
        f"{survey.metrics:,} metrics, {len(survey.proposals):,} proposals; {survey.questions:,} questions in "
        f"{survey.seconds:g} s."
    ]
    found += [f"Left out: {count:,} {why}." for why, count in survey.left_out.items() if count]
    found += [f"Not looked at: {what}. {why}" for what, why in survey.not_looked_at.items()]
    if not survey.proposals:
        found.append(
            "No metric that counts requests was found. docs/telemetry.md explains how to describe a family by hand."
        )
    return found


def _tell(out: Output, proposal: Proposal) -> None:
    state = "built in" if proposal.preset else "recommended" if proposal.is_recommended else "possible"
    out.write(f"{proposal.name} ({state})")
    out.write(f"  {sentences.summary(proposal)}")
    if proposal.evidence.names:
        out.write(f"  busiest: {', '.join(proposal.evidence.names)}")
    for text in sentences.remarks(proposal):
        out.write(f"  ? {text}")
