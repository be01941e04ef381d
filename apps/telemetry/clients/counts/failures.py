"""Recognises failures by the labels that a counter of requests has.

Failures have many names: ``code="503"``, ``status="5xx"``, ``grpc_code="Unavailable"``,
``outcome="SERVER_ERROR"``, ``classification="failure"``. A label is recognised by its name and by its values, so that
``code`` is read as an HTTP status or as a gRPC status, whichever it holds.

A failure is one that the server is to blame for: HTTP 5xx, and the gRPC codes that OpenTelemetry's semantic
conventions count as errors of a server (Unknown, DeadlineExceeded, Unimplemented, Internal, Unavailable, DataLoss).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from apps.telemetry.clients.prometheus.families import Selector

TOO_MANY_REQUESTS = "429"
_HTTP_FAILURES = "5.."
#: Values in place of a status where there was no answer. Without statuses beside them they may mean something else.
_NO_ANSWER = frozenset({"0", "-1", "-"})
#: How many values a sentence shows.
_SHOWN_VALUES = 6


@dataclass(frozen=True, slots=True)
class FailureLabel:
    """One kind of label that distinguishes failures.

    Parameters:
        kind: what the values are, in words, such as "HTTP status".
        name: pattern of the label's name, in lower case with underscores.
        good: pattern of values that are not failures, in lower case.
        bad: pattern of values that are failures, in lower case.
        matcher: what follows the label in a matcher, such as ``=~5..``.
        examples: values that are failures.
        needs: patterns that must each match some value, for a label name that may hold anything.
    """

    kind: str
    name: re.Pattern[str]
    good: re.Pattern[str]
    bad: re.Pattern[str]
    matcher: str
    examples: tuple[str, ...]
    needs: tuple[re.Pattern[str], ...] = ()

    def reads(self, values: Collection[str]) -> bool:
        """Return whether the values are of this kind: at least one is, and at most one in four is not."""
        given = [value.lower() for value in values if value]
        answered = [value for value in given if value not in _NO_ANSWER] or given
        known = [value for value in answered if self.knows(value)]
        has_all = all(any(one.fullmatch(value) for value in given) for one in self.needs)
        return has_all and bool(known) and 4 * len(known) >= 3 * len(answered)

    def knows(self, value: str) -> bool:
        """Return whether a value, in lower case, is of this kind."""
        return bool(self.good.fullmatch(value) or self.bad.fullmatch(value))


def _label(
    kind: str, name: str, good: str, bad: str, matcher: str, *examples: str, needs: Sequence[str] = ()
) -> FailureLabel:
    patterns = tuple(re.compile(one) for one in needs)
    return FailureLabel(
        kind, re.compile(name), re.compile(good), re.compile(bad), matcher, examples, patterns
    )


_STATUS_NAMES = r"(.*_)?(status|code|statuscode|status_?code)(_value)?|(.*_)?(code|status)_(class|family)"
#: A status code with its protocol before it or its name behind it: ``500 Internal Server Error``, ``HTTP_503``.
_WORDED = "(http[ _/-]?)?({codes})([.]0+|[ :_-].*)?"
_WORDED_FAILURES = _WORDED.format(codes=r"5\d\d")
_GRPC_GOOD = (
    r"ok|cancell?ed|invalid_?argument|not_?found|already_?exists|permission_?denied|resource_?exhausted"
    r"|failed_?precondition|aborted|out_?of_?range|unauthenticated"
)
_GRPC_BAD = r"unknown|deadline_?exceeded|unimplemented|internal|unavailable|data_?loss"
#: Names of HTTP statuses (RFC 9110), as enumerations in programming languages spell them.
_NAMES_GOOD = (
    r"continue|switching[ _-]?protocols|ok|created|accepted|non[ _-]?authoritative[ _-]?information|no[ _-]?content"
    r"|reset[ _-]?content|partial[ _-]?content|multi[ _-]?status|multiple[ _-]?choices|moved[ _-]?permanently|found"
    r"|see[ _-]?other|not[ _-]?modified|(temporary|permanent)[ _-]?redirect|bad[ _-]?request|unauthorized"
    r"|payment[ _-]?required|forbidden|not[ _-]?found|method[ _-]?not[ _-]?allowed|not[ _-]?acceptable"
    r"|request[ _-]?time[ _-]?out|conflict|gone|length[ _-]?required|precondition[ _-]?(failed|required)"
    r"|(payload|content|request[ _-]?entity)[ _-]?too[ _-]?large|(request[ _-]?)?uri[ _-]?too[ _-]?long"
    r"|unsupported[ _-]?media[ _-]?type|(requested[ _-]?)?range[ _-]?not[ _-]?satisfiable|expectation[ _-]?failed"
    r"|unprocessable[ _-]?(entity|content)|locked|failed[ _-]?dependency|too[ _-]?many[ _-]?requests"
)
_NAMES_BAD = (
    r"internal[ _-]?server[ _-]?error|not[ _-]?implemented|bad[ _-]?gateway|service[ _-]?unavailable"
    r"|gateway[ _-]?time[ _-]?out|http[ _-]?version[ _-]?not[ _-]?supported|insufficient[ _-]?storage"
    r"|loop[ _-]?detected|network[ _-]?authentication[ _-]?required"
)

#: The likeliest kind first. A service may have several labels of one kind; each series is counted once.
LABELS: Sequence[FailureLabel] = (
    _label("HTTP status", _STATUS_NAMES, r"[1-4]\d\d", r"5\d\d", f"=~{_HTTP_FAILURES}", "500", "503", "599"),
    _label("HTTP status with words", _STATUS_NAMES, _WORDED.format(codes=r"[1-4]\d\d"), _WORDED_FAILURES,
           f"=~(?i:{_WORDED_FAILURES})", "500 Internal Server Error", "http_500"),
    _label("class of HTTP status", _STATUS_NAMES, r"[1-4]xx", r"5xx", "=~(?i:5xx)", "5xx", "5XX"),
    _label("class of HTTP status", _STATUS_NAMES, r"http[ _/-]?[1-4]xx", r"http[ _/-]?5xx", "=~(?i:http[ _/-]?5xx)",
           "http_5xx", "HTTP 5XX"),
    _label("class of HTTP status", r".*class.*", r"[1-4]", r"5", "=5", "5"),
    # A single digit may be the status of anything: 2 must be among the values, and no 0, which gRPC begins with.
    _label("class of HTTP status", _STATUS_NAMES, r"[1-4]", r"5", "=5", "5", needs=("2",)),
    _label("span status", _STATUS_NAMES, r"status_code_(unset|ok)", r"status_code_error", "=~STATUS_CODE_ERROR",
           "STATUS_CODE_ERROR"),
    # OK and NOT_FOUND are names of HTTP and of gRPC statuses, so the matcher takes the failures of both.
    _label("gRPC status", _STATUS_NAMES, _GRPC_GOOD, _GRPC_BAD, f"=~(?i:{_GRPC_BAD}|{_NAMES_BAD})",
           "Internal", "UNAVAILABLE", "DEADLINE_EXCEEDED", "unknown"),
    _label("name of HTTP status", _STATUS_NAMES, _NAMES_GOOD, _NAMES_BAD, f"=~(?i:{_GRPC_BAD}|{_NAMES_BAD})",
           "INTERNAL_SERVER_ERROR", "BadGateway", "Service Unavailable"),
    _label("gRPC status", r".*(grpc|rpc).*(code|status)", r"0|1|3|5|6|7|8|9|1[016]", r"2|4|1[2-5]",
           "=~2|4|12|13|14|15", "13", "14"),
    _label("gRPC status", _STATUS_NAMES, r"0|1|3|5|6|7|8|9|1[016]", r"2|4|1[2-5]", "=~2|4|12|13|14|15", "13", "14",
           needs=("0", "[2-9]|1[0-6]")),
    _label("span status", r"(otel_)?status_code|span_status", r"ok|unset", r"error", "=~(?i:error)", "ERROR"),
    _label("outcome",
           r"(.*_)?outcome|(.*_)?result|(.*_)?classification|(.*_)?status(_family)?|(.*_)?state|(.*_)?response_type",
           r"success(ful)?|succeeded|ok|good|informational|redirection|client_error|complete[d]?|pass(ed)?|hit|miss"
           r"|processed|accepted|delivered|sent|done|none",
           r"fail(ed|ure)?|errors?|errored|server_error|time_?out|timed_?out|exception|crash(ed)?|n?ko|unknown|dropped"
           r"|unavailable|internal_error|system_error",
           r"=~(?i:fail(ed|ure)?|errors?|errored|server_error|time_?out|timed_?out|exception|crash(ed)?|n?ko|unknown"
           r"|dropped|unavailable|internal_error|system_error)", "failure", "error", "SERVER_ERROR"),
    _label("success", r"(.*_)?(success|successful|succeeded|ok|is_success)", r"true|1|yes", r"false|0|no",
           "=~(?i:false|0|no)", "false"),
    _label("error", r"(.*_)?(error|errored|is_error|has_error|failed|is_failed|failure)", r"false|0|no|none|null|nil",
           r"true|1|yes", "=~(?i:true|1|yes)", "true"),
    _label("type of error", r"(.*_)?(error|error_type|error_class|error_code)", r"none|false|no|0|null|nil|ok",
           r"(?!(?:none|false|no|0|null|nil|ok)$).+", "!~(?i:|none|false|no|0|null|nil|ok|[1-4]..)", "timeout", "500"),
)  # fmt: skip

#: Label names that may distinguish failures, so that their values are worth a look.
CANDIDATE = re.compile(
    r".*(status|code|outcome|result|classification|success|error|fail|state|response_type|class).*|(.*_)?ok"
)


@dataclass(frozen=True, slots=True)
class Recognised:
    """The labels that distinguish a service's failures.

    Parameters:
        kind: what the labels hold, in words.
        labels: the labels; each one distinguishes the failures of some series.
        matchers: one for each label, as a selector's ``where`` takes it; failures are the union of what they match.
        values: some of the values seen.
    """

    kind: str
    labels: tuple[str, ...]
    matchers: tuple[str, ...]
    values: tuple[str, ...]


def recognise(
    values_by_label: Mapping[str, Collection[str]], *, too_many_requests_fail: bool = False
) -> Recognised | None:
    """Return how these labels distinguish failures, or ``None`` where no known label does.

    Parameters:
        values_by_label: values seen of each label; an empty value stands for series without the label.
        too_many_requests_fail: whether HTTP status 429 counts as a failure.
    """
    for form in LABELS:
        found = [
            label
            for label in sorted(values_by_label)
            if form.name.fullmatch(_plain(label)) and form.reads(values_by_label[label])
        ]
        if found:
            matcher = with_429(form.matcher) if too_many_requests_fail else form.matcher
            values = sorted({value for label in found for value in values_by_label[label] if value})
            return Recognised(
                form.kind,
                tuple(found),
                tuple(f"{label}{matcher}" for label in found),
                tuple(values[:_SHOWN_VALUES]),
            )
    return None


def with_429(matcher: str) -> str:
    """Return a matcher of HTTP failures that matches 429 as well; return any other matcher unchanged."""
    if matcher.endswith(f"=~(?i:{_WORDED_FAILURES})"):
        also = _WORDED.format(codes=rf"5\d\d|{TOO_MANY_REQUESTS}")
        return matcher.replace(_WORDED_FAILURES, also)
    return f"{matcher}|{TOO_MANY_REQUESTS}" if matcher.endswith(f"=~{_HTTP_FAILURES}") else matcher


def could_match(selector: Selector, total: Selector, values_by_label: Mapping[str, Collection[str]]) -> bool:
    """Return whether a selector of failures could match series of ``total`` if a request failed.

    It cannot if no series has a label that the selector asks for, or if the label's values are of a known kind and the
    selector matches no failure of that kind. For another metric than ``total`` this is not known, and the answer is
    ``False``.
    """
    if selector.metric != total.metric:
        return False
    own = set(total.parsed())
    for label, operator, wanted in selector.parsed():
        if (label, operator, wanted) in own or operator in {"!=", "!~"}:
            continue
        values = [value for value in values_by_label.get(label, ()) if value]
        if not values or not (
            any(_selects(operator, wanted, value) for value in values)
            or _could_come(label, operator, wanted, values)
        ):
            return False
    return True


def tells_success(label: str, values: Collection[str]) -> bool:
    """Return whether successful requests have a value of their own, so that series without the label are neither."""
    lower = [value.lower() for value in values if value]
    return any(
        form.name.fullmatch(_plain(label)) and form.reads(lower) and any(map(form.good.fullmatch, lower))
        for form in LABELS
    )


def _could_come(label: str, operator: str, wanted: str, values: Collection[str]) -> bool:
    """Return whether a wanted value that no series has yet may still appear.

    It may not if the wanted value is a status of one kind and the label's values are of another kind, known or not.
    A wanted value that is no known status may always appear.
    """
    forms = [form for form in LABELS if form.name.fullmatch(_plain(label))]
    wanting = [form for form in forms if any(_selects(operator, wanted, one) for one in form.examples)]
    reading = next((form for form in forms if form.reads(values)), None)
    if reading is not None:
        return reading in wanting
    return not wanting or any(form.knows(value.lower()) for form in wanting for value in values)


def _selects(operator: str, wanted: str, value: str) -> bool:
    if operator == "=":
        return value == wanted
    try:
        return re.fullmatch(wanted, value) is not None
    except re.error:  # RE2 accepts some patterns that Python does not
        return True


def _plain(label: str) -> str:
    return re.sub(r"[^a-z0-9_]", "_", label.lower())
