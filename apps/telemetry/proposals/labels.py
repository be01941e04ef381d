"""Finds what a metric's labels are for: which ones name the service, failures, environments or replicas."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from apps.telemetry.clients.counts.failures import CANDIDATE
from apps.telemetry.clients.prometheus.surveying import Group

#: Labels for services, the likeliest first. Labels of the application come before labels that the scrape adds.
SERVICE = (
    "service_name", "service.name", "destination_canonical_service", "destination_service_name", "application", "app",
    "app_name", "app_kubernetes_io_name", "app.kubernetes.io/name", "microservice", "svc",
    "exported_service", "service", "component", "workload", "deployment", "project", "program", "backend", "proxy",
    "upstream", "sloth_service", "slo", "exported_job", "job", "container", "grpc_service", "server", "target", "url",
    "host", "instance",
)  # fmt: skip
#: Labels that the scrape adds, or that name a part of a service: used where no better label names it.
_OF_THE_SCRAPE = frozenset(
    {"exported_job", "job", "container", "grpc_service", "server", "target", "url", "host", "instance"}
)
ENVIRONMENT = (
    "deployment_environment_name", "deployment_environment", "deployment.environment.name", "environment", "env",
    "stage", "cluster", "k8s_cluster_name", "k8s.cluster.name", "cluster_name", "exported_namespace", "namespace",
    "kubernetes_namespace", "k8s_namespace_name", "region", "datacenter", "dc", "zone", "site", "tenant",
)  # fmt: skip
REPLICA = (
    "__replica__",
    "prometheus_replica",
    "replica",
    "receive_replica",
    "ha_replica",
    "monitor",
    "prometheus",
)
_NO_FAILURE = re.compile(r".*(method|route|path|uri|url|handler|version|flags|text|class_name|pod_status|le)")
#: The share of a metric's series that must have a label before it is believed to name services.
_MOST = 0.9
#: How many labels for each use one question asks for.
_ASKED = {"services": 5, "failures": 4, "environments": 4, "replicas": 2}


@dataclass(frozen=True, slots=True)
class Uses:
    """The labels of a metric by what they may be for, the likeliest first."""

    services: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    replicas: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Every label to ask for."""
        return (*self.services, *self.failures, *self.environments, *self.replicas)


def uses(names: Iterable[str], *, wanted: Sequence[str] = ()) -> Uses:
    """Sort the names of a metric's labels by what they may be for.

    Parameters:
        wanted: labels that name services in the configured families.
    """
    present = set(names)
    services = [one for one in dict.fromkeys((*wanted, *SERVICE)) if one in present]
    environments = [one for one in ENVIRONMENT if one in present and one not in services]
    replicas = [one for one in REPLICA if one in present and one not in services]
    taken = {*services, *environments, *replicas}
    failures = sorted(
        (
            one
            for one in present - taken
            if CANDIDATE.fullmatch(one.lower()) and not _NO_FAILURE.fullmatch(one.lower())
        ),
        key=lambda one: (len(one), one),
    )
    return Uses(
        tuple(services[: _ASKED["services"]]),
        tuple(failures[: _ASKED["failures"]]),
        tuple(environments[: _ASKED["environments"]]),
        tuple(replicas[: _ASKED["replicas"]]),
    )


@dataclass(frozen=True, slots=True)
class ServiceLabel:
    """A label that may name services.

    Parameters:
        coverage: the share of series that have it.
        services: its values.
    """

    label: str
    coverage: float
    services: frozenset[str]


def service_labels(groups: Sequence[Group], names: Sequence[str]) -> list[ServiceLabel]:
    """Return the labels that may name the service, the best first.

    A label on nearly all series comes first; then a label with several values, rather than one name for everything;
    then a label of the application, rather than one that the scrape adds.
    """
    total = sum(group.value for group in groups)
    found = []
    for label in names:
        values = {group.labels.get(label, "") for group in groups} - {"", "unknown"}
        covered = sum(group.value for group in groups if group.labels.get(label, "") in values)
        if values and total:
            found.append(ServiceLabel(label, covered / total, frozenset(values)))
    return sorted(found, key=lambda one: _rank(one, any(len(other.services) > 1 for other in found)))


def _rank(one: ServiceLabel, some_tell_apart: bool) -> tuple[bool, bool, bool, int]:
    order = SERVICE.index(one.label) if one.label in SERVICE else -1
    return (
        one.coverage < _MOST,
        some_tell_apart and len(one.services) == 1,
        one.label in _OF_THE_SCRAPE,
        order,
    )


def is_more_telling(one: ServiceLabel, other: ServiceLabel) -> bool:
    """Return whether a label clearly names services better: it covers more, separates more, or is no scrape label."""
    if other.coverage < _MOST <= one.coverage:
        return True
    if len(other.services) == 1 < len(one.services):
        return one.coverage >= _MOST
    return other.label in _OF_THE_SCRAPE and one.label not in _OF_THE_SCRAPE and one.coverage >= _MOST


def values_by_label(groups: Sequence[Group], names: Sequence[str]) -> dict[str, set[str]]:
    """Return the values of each label; an empty value stands for series without the label."""
    return {label: {group.labels.get(label, "") for group in groups} for label in names}


def separated_by(
    groups: Sequence[Group], service_label: str, names: Sequence[str]
) -> dict[str, dict[str, set[str]]]:
    """Return, for each label, the services that have several of its values, with these values.

    Labels without such services are absent, such as a namespace of which each service has its own.
    """
    found: dict[str, dict[str, set[str]]] = {}
    for label in names:
        values: Mapping[str, set[str]] = defaultdict(set)
        for group in groups:
            service, value = group.labels.get(service_label, ""), group.labels.get(label, "")
            if service and value:
                values[service].add(value)
        several = {service: some for service, some in values.items() if len(some) > 1}
        if several:
            found[label] = several
    return found
