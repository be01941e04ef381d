"""What a metric's labels are for: which one names the service, which tell failures, environments, replicas."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from apps.telemetry.clients.counts.failures import CANDIDATE
from apps.telemetry.clients.prometheus.surveying import Group

#: The likeliest names first. What an application says of itself comes before what the scrape adds.
SERVICE = (
    "service_name", "service.name", "destination_canonical_service", "destination_service_name", "application", "app",
    "app_name", "app_kubernetes_io_name", "app.kubernetes.io/name", "microservice", "svc",
    "exported_service", "service", "component", "workload", "deployment", "project", "program", "backend", "proxy",
    "upstream", "sloth_service", "slo", "exported_job", "job", "container", "grpc_service", "server", "target", "url",
    "host", "instance",
)  # fmt: skip
#: What the scrape adds, or what is part of a service: used where nothing better names it.
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
#: How much of a metric a label has to name before it is believed to name services.
_MOST = 0.9
#: How many labels of each use are asked for together.
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
        """Every label that is asked for."""
        return (*self.services, *self.failures, *self.environments, *self.replicas)


def uses(names: Iterable[str], *, wanted: Sequence[str] = ()) -> Uses:
    """Sort the names of a metric's labels by what they may be for.

    Parameters:
        wanted: labels that name services in families of the configuration.
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
    """The labels that may name the service, the best first.

    One that covers nearly all series comes before one that leaves some out; one that an application says of itself
    before what the scrape adds; one with several values before one that calls everything the same.
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
    """Whether a label clearly names services better: by what it is, or because the other calls all the same."""
    if other.coverage < _MOST <= one.coverage:
        return True
    if len(other.services) == 1 < len(one.services):
        return one.coverage >= _MOST
    return other.label in _OF_THE_SCRAPE and one.label not in _OF_THE_SCRAPE and one.coverage >= _MOST


def values_by_label(groups: Sequence[Group], names: Sequence[str]) -> dict[str, set[str]]:
    """The values of each label; an empty one stands for series without it."""
    return {label: {group.labels.get(label, "") for group in groups} for label in names}


def separated_by(
    groups: Sequence[Group], service_label: str, names: Sequence[str]
) -> dict[str, dict[str, set[str]]]:
    """For each label with several values: the services that have several of them, with those values.

    It is empty for a label that says no more than the service's name, such as a namespace that each service has of its
    own.
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
