"""Label values that look like personal data are told from those that do not."""

from __future__ import annotations

from collections import Counter

import pytest

from apps.telemetry.clients.prometheus.personal_data import (
    personal_data_kind,
    scrubbed,
    without_personal_data,
)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("jane.doe+shop@example.co.uk", "e-mail"),
        ("/login?mail=jane%40example.com", "e-mail"),
        ("10.1.2.3", "IP address"),
        ("10.1.2.3:9090", "IP address"),
        ("2001:db8::ff00:42:8329", "IP address"),
        ("fe80::1", "IP address"),
        ("7f3c1f9e-2d58-4d4e-9c1c-0a4c0c1f2a3b", "UUID"),
        ("/orders/7F3C1F9E2D584D4E9C1C0A4C0C1F2A3B", "UUID"),
        ("user-4711", "user id"),
        ("/users/4711/cart", "user id"),
        ("customer_id=a81", "user id"),
        ("/accounts/00123456", "user id"),
        ("+49 170 1234567", "phone number"),
        ("20394857", "user id"),
    ],
)
def test_it_recognises(value: str, kind: str) -> None:
    assert personal_data_kind(value) == kind


@pytest.mark.parametrize(
    "value",
    [
        "SPAN_KIND_SERVER",
        "STATUS_CODE_ERROR",
        "/api/v1/users/{id}",
        "GET",
        "503",
        "payments-7d9f8b6c5d-x2x9z",
        "eu-west-1",
        "users-service",
        "client",
        "v1.2.3",
        "accounts-db",
        "0.005",
        "+Inf",
        "12:30:00",
        "Foo::Bar",
        "AWS::ECS::Fargate",
    ],
)
def test_it_lets_pass(value: str) -> None:
    assert personal_data_kind(value) is None


def test_the_label_that_names_the_service_is_taken_as_it_is() -> None:
    dropped: Counter[str] = Counter()
    labels = {"service": "169.254.170.2_remote", "peer": "169.254.170.2", "route": "/cart"}
    assert without_personal_data(labels, keep={"service"}, dropped=dropped) == {
        "service": "169.254.170.2_remote",
        "route": "/cart",
    }
    assert dropped == {"peer": 1}


def test_messages_from_outside_lose_addresses_but_keep_their_numbers() -> None:
    assert (
        scrubbed("store 10.0.0.7:9095 failed for ops@example.com: limit of 50000000 samples")
        == "store [IP address]:9095 failed for [e-mail]: limit of 50000000 samples"
    )
