"""Names in files: one service in two Unicode forms, and names that only look like one."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.catalog.models import Dependency, Service
from apps.telemetry.models import EdgeHour, LatencyHour, SliHour
from apps.telemetry.recording import read_recording
from tests.telemetry.folders import (
    BUCKETS,
    DEPENDENCIES,
    EDGE_SLI,
    HOUR,
    NOW,
    SLI,
    START,
    import_folder,
    write,
    write_services,
)
from tests.telemetry.test_import import hours, refused

pytestmark = pytest.mark.django_db

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def sli(folder: Path, *names: str) -> None:
    write(
        folder,
        "sli.csv",
        SLI,
        [(name, START + at * HOUR, HOUR, 10, 1, "", "", "") for at, name in enumerate(names)],
    )


@pytest.mark.parametrize(("declared", "observed"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_a_service_in_two_unicode_forms_is_one_and_the_import_says_so(
    tmp_path: Path, declared: str, observed: str
) -> None:
    write_services(tmp_path, declared)
    sli(tmp_path, declared, observed, observed)
    result = import_folder(tmp_path)
    assert [hour.total for hour in hours(COMPOSED)] == [10, 10, 10]
    assert Service.objects.count() == 1
    (remark,) = [remark for remark in result.warnings if remark.startswith("sli.csv")]
    assert remark.endswith("(services.csv line 2), which differs in the form of its accents only.")
    assert "in line" in remark
    assert "U+0301" in remark


def test_every_file_may_write_it_in_either_form(tmp_path: Path) -> None:
    write_services(tmp_path, COMPOSED)
    write(tmp_path, "dependencies.csv", DEPENDENCIES, [(DECOMPOSED, "db", "sync", "hard", "")])
    write(tmp_path, "edge_sli.csv", EDGE_SLI, [(DECOMPOSED, "db", START, HOUR, 10, 1)])
    write(
        tmp_path,
        "latency_buckets.csv",
        BUCKETS,
        [(COMPOSED, START, HOUR, 100, 4), (DECOMPOSED, START, HOUR, "+Inf", 9)],
    )
    result = import_folder(tmp_path)
    assert set(Service.objects.values_list("service_id", flat=True)) == {COMPOSED, "db"}
    assert (Dependency.objects.count(), EdgeHour.objects.count(), LatencyHour.objects.count()) == (1, 1, 1)
    assert any(remark.startswith("Taken as one service: 'cafe<U+0301>'") for remark in result.warnings)


def test_a_row_that_says_the_same_in_another_form_is_one_row(tmp_path: Path) -> None:
    write_services(tmp_path, COMPOSED, DECOMPOSED)
    import_folder(tmp_path)
    assert Service.objects.get().service_id == COMPOSED


def test_the_catalog_keeps_its_spelling(tmp_path: Path) -> None:
    Service.objects.create(service_id=DECOMPOSED)
    sli(tmp_path, COMPOSED)
    (remark,) = import_folder(tmp_path).warnings
    assert "is taken for 'cafe<U+0301>' (in the catalog)" in remark
    assert SliHour.objects.get().service.service_id == DECOMPOSED


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "pay",
            "'pay' is no service; did you mean 'Pay' (services.csv line 2), which differs in capitals only?",
        ),
        (
            "Pay\u200b",
            "'Pay<U+200B>' is no service; did you mean 'Pay' (services.csv line 2), which differs in",
        ),
        ("Pay ", "which differs in white space only?"),
        ("Pa\u00a0y", "'Pa<U+00A0>y' is no service; did you mean 'Pay'"),
        ("\uff30ay", "which differs in the width or form of its characters only?"),
        ("\ufeffpay", "which differs in capitals and invisible characters?"),
        ("shop", "'shop' is no service; add it to services.csv"),
        ("", "is empty"),
    ],
)
def test_a_name_that_looks_like_another_is_refused_with_the_other(
    tmp_path: Path, name: str, words: str
) -> None:
    write_services(tmp_path, "Pay")
    sli(tmp_path, name)
    assert words in refused(tmp_path)["sli.csv", 2, "service_id"]


def test_names_that_look_alike_and_are_both_there_are_told(tmp_path: Path) -> None:
    write_services(tmp_path, "Pay", "pay")
    sli(tmp_path, "Pay", "pay")
    (remark,) = import_folder(tmp_path).warnings
    assert remark.startswith(
        "Kept as different services although they look alike: 'Pay' and 'pay' differ in capitals only"
    )


def test_many_names_in_another_form_are_named_a_few_and_counted(tmp_path: Path) -> None:
    names = [f"caf\u00e9-{number}" for number in range(20)]
    write_services(tmp_path, *names)
    sli(tmp_path, *(unicodedata.normalize("NFD", name) for name in names))
    warnings = import_folder(tmp_path).warnings
    assert len(warnings) == 6
    assert "15 more names are spelt in another form" in warnings[-1]


def test_a_recording_compares_names_alike(tmp_path: Path) -> None:
    sli(tmp_path, COMPOSED, DECOMPOSED)
    recording = read_recording(tmp_path, now=NOW)
    assert list(recording.counts) == [COMPOSED]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.text(st.sampled_from("ab\u00e9\u00fc\u1ea5\uac00\u0301"), min_size=1, max_size=4),
        min_size=1,
        max_size=5,
        unique_by=lambda name: unicodedata.normalize("NFC", name),
    ),
    st.lists(st.booleans(), min_size=10, max_size=10),
)
def test_invariant_the_forms_of_a_folders_names_change_nothing_that_is_stored(
    names: list[str], forms: list[bool]
) -> None:
    def spelt(which: list[bool]) -> list[str]:
        return [
            unicodedata.normalize("NFD" if at else "NFC", name)
            for name, at in zip(names, which, strict=False)
        ]

    with transaction.atomic(), TemporaryDirectory() as folder:
        write_services(Path(folder), *spelt(forms))
        sli(Path(folder), *spelt(forms[5:]))
        import_folder(Path(folder))
        found = SliHour.objects.values_list("service__service_id", "bin_start__hour")
        assert sorted(found) == sorted(
            (unicodedata.normalize("NFC", name), at) for at, name in enumerate(names)
        )
        transaction.set_rollback(True)
