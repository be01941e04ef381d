"""What a dependency turns out to be, from files to the page: one declared soft that fails its caller's requests,
and one that has a fallback.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command
from django.test import Client

from apps.slos.making import compute as computing
from apps.slos.models import EdgeEstimate
from tests.slos.conftest import current, full_hour, make_user

HOURS = 24 * 40


def write(folder: Path) -> None:
    """``shop`` calls ``recs`` and ``ads``, both declared soft; both fail at times, only ``recs`` takes it along."""
    generator = np.random.default_rng(5)
    end = full_hour()
    (folder / "services.csv").write_text(
        "service_id,team,criticality,external,published_sla\nshop,,high,false,\nrecs,,,false,\nads,,,false,\nquiet,,,false,\n"
    )
    (folder / "dependencies.csv").write_text(
        "source,target,mode,criticality,redundancy_group,redundancy_needed\n"
        "shop,recs,sync,soft,,\nshop,ads,sync,soft,,\nquiet,recs,sync,soft,pair,2\nquiet,ads,sync,soft,pair,2\n"
    )
    own = ["service_id,timestamp,step_seconds,total,bad,p50_ms,p95_ms,p99_ms"]
    calls = ["source,target,timestamp,step_seconds,total,bad"]
    for ago in range(HOURS, 0, -1):
        at = (end - timedelta(hours=ago)).isoformat()
        total = int(generator.integers(8_000, 12_000))
        failed = {
            name: int(total * generator.uniform(0.02, 0.3)) if generator.random() < 0.05 else 0
            for name in ("recs", "ads")
        }
        bad = int(generator.binomial(total, 2e-4)) + int(generator.binomial(failed["recs"], 0.9))
        own.append(f"shop,{at},3600,{total},{min(total, bad)},,,")
        for name, count in failed.items():
            calls.append(f"shop,{name},{at},3600,{total},{count}")
            own.append(f"{name},{at},3600,{total},{count},,,")
    (folder / "sli.csv").write_text("\n".join(own) + "\n")
    (folder / "edge_sli.csv").write_text("\n".join(calls) + "\n")


@pytest.fixture
def imported(transactional_db: None, tmp_path: Path) -> None:
    write(tmp_path)
    call_command("import_observations", str(tmp_path))
    computing.refresh(None, reason="made by a test")


def test_it_is_in_the_document_the_list_and_on_the_page(imported: None) -> None:
    from apps.catalog.models import Dependency, Service

    shop = Service.objects.get(service_id="shop")
    composite: dict[str, Any] = current(shop).document["composite"]
    rows = {row["target_id"]: row for row in composite["dependencies"]}
    assert (rows["recs"]["behaves_hard"], rows["recs"]["has_fallback"]) == (True, False)
    assert (rows["ads"]["behaves_hard"], rows["ads"]["has_fallback"]) == (False, True)
    assert rows["ads"]["effect"] == 0
    assert rows["recs"]["effect"] < 0
    # What has a fallback no longer limits the targets that can be kept.
    limit = current(shop).document["dependency_limit"]
    assert limit == pytest.approx(1 + rows["recs"]["effect"], abs=1e-6)
    flagged = EdgeEstimate.objects.filter(behaves_hard=True)
    assert [(each.source.service_id, each.target.service_id) for each in flagged] == [("shop", "recs")]

    quiet = Service.objects.get(service_id="quiet")
    assert set(Dependency.objects.filter(source=quiet).values_list("redundancy_needed", flat=True)) == {2}
    needed = {row["redundancy_needed"] for row in current(quiet).document["composite"]["dependencies"]}
    assert needed == {2}

    client = Client()
    client.force_login(make_user("vera", "viewer"))
    page = client.get("/services/shop/").content.decode()
    assert "soft → behaves hard" in page
    assert "has a fallback, no longer counts" in page
    assert "2 services below it" in page or "1 service below it" in page
    listed = client.get("/services/?state=behaves_hard").content.decode()
    assert "/services/shop/" in listed
    assert "/services/quiet/" not in listed
