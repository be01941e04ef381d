"""Learns the shift of sites that are up or down: ``python -m tools.learn_outages HISTORIES --rows DIR``.

``HISTORIES`` is a directory of git directories of status pages (``tools.up_down_histories``). ``--rows`` are the
simulated rows of ``tools.learn_forecast``, whose sites show how far a true quantile lies from the forecast. The
forecast that was learned from simulation gets a shift for each visible group of sites: the conformal correction with
which windows of real sites are missed as often as stated. To judge it on pages that it was not learned from, each page
is left out in turn. The table goes to ``--table``, its figures to ``--figures``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.engine.evaluation.baselines import baselines
from apps.engine.evaluation.rolling import LEAST_COVERED_AHEAD, LEAST_COVERED_BEFORE, LEAST_DAYS, MOST_DAYS
from apps.engine.evaluation.scoring import missed, pinball
from apps.engine.forecast.features import FeatureRows, feature_rows
from apps.engine.forecast.history import history_of
from apps.engine.forecast.model import (
    CHANCES,
    NO_FAILURE,
    OUTAGES,
    PROBED_GROUPS,
    Forecast,
    load,
    probed_groups,
)
from apps.engine.series import DAY_SECONDS, observe
from apps.engine.simulation.fleet import SITES
from apps.engine.types import CountSeries, Floats
from tools.learn_forecast import read
from tools.training_set import ALL_FAMILIES
from tools.up_down_histories import histories

SEED = 7
WINDOW = 28
STEP = 7
"""Days between the windows learned from, which overlap; the windows judged by do not."""
YOUNGEST = 7
MOST_OF_ONE = 200
"""A page with more windows counts as this many: pages differ more than the sites of one page."""
GIVEN_UP = 0.5
"""A site that is down for a larger share of a window was given up, which no history shows: judged by, but not learned
from.
"""
TIER_CHANCES = (0.01, 0.05, 0.2)
TIERS = ("conservative", "balanced", "aggressive")
REGIME = "up_or_down"
LEAST_LOSS = 1e-7
"""Below this the block bootstrap lost nothing, so no loss is relative to it."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Histories of sites and their next windows.

    ``page`` and ``site`` ``(n,)`` are numbers; sites are numbered within their page. ``actual`` and ``requests`` are
    those of the window after the history.
    """

    page: NDArray[np.int64]
    site: NDArray[np.int64]
    rows: FeatureRows
    actual: Floats
    requests: Floats
    plain: Floats
    """The block bootstrap's predictions at :data:`TIER_CHANCES`; empty for windows that are learned from."""

    def where(self, mask: NDArray[np.bool_]) -> Windows:
        """Keep some of the windows."""
        rows = replace(
            self.rows,
            features=self.rows.features[mask],
            centre=self.rows.centre[mask],
            spread=self.rows.spread[mask],
        )
        plain = self.plain[mask] if self.plain.size else self.plain
        return Windows(self.page[mask], self.site[mask], rows, self.actual[mask], self.requests[mask], plain)

    @property
    def sites(self) -> int:
        """Return how many sites the windows belong to."""
        return len(set(zip(self.page.tolist(), self.site.tolist(), strict=True)))


def windows(pages: Mapping[str, Mapping[str, CountSeries]], *, is_judged: bool) -> Windows:
    """Cut every site's history into windows: without overlap to be judged by, else many with histories of various
    lengths.
    """
    found: list[tuple[int, int, FeatureRows, float, float, Floats]] = []
    for number, sites in enumerate(pages.values()):
        for at, series in enumerate(sites.values()):
            generator = np.random.default_rng([SEED, number, at])
            days = series.total.size // 24
            step, least = (WINDOW, LEAST_DAYS) if is_judged else (STEP, YOUNGEST)
            for cut in range(days - WINDOW, least - 1, -step):
                before = MOST_DAYS
                if not is_judged and generator.random() < 0.25:
                    before = int(generator.integers(YOUNGEST, MOST_DAYS))
                one = _window(series, cut, before, is_judged=is_judged)
                if one is not None:
                    found.append((number, at, *one))
    page, site, rows, actual, requests, plain = zip(*found, strict=True)
    together = FeatureRows(
        np.concatenate([each.features for each in rows]),
        np.concatenate([each.centre for each in rows]),
        np.concatenate([each.spread for each in rows]),
        is_probed=True,
    )
    return Windows(
        np.array(page), np.array(site), together, np.array(actual), np.array(requests), np.array(plain)
    )


def _window(
    series: CountSeries, cut: int, before: int, *, is_judged: bool
) -> tuple[FeatureRows, float, float, Floats] | None:
    first = max(0, cut - before)
    past, ahead = slice(first * 24, cut * 24), slice(cut * 24, (cut + WINDOW) * 24)
    total, bad = series.total[ahead], series.bad[ahead]
    known = np.isfinite(series.total[past])
    if np.isfinite(total).mean() < LEAST_COVERED_AHEAD or known.mean() < LEAST_COVERED_BEFORE:
        return None
    shown = CountSeries(series.start + first * DAY_SECONDS, 3_600, series.total[past], series.bad[past])
    counts = observe(shown, series.start + cut * DAY_SECONDS)
    assert counts is not None
    history = history_of(counts)
    rows = feature_rows(history, history.hourly(counts.dense_bad[:, None]), window_hours=WINDOW * 24)
    plain: Floats = np.zeros(0)
    if is_judged:
        plain = np.asarray(
            baselines(
                counts.dense_total, counts.dense_bad, TIER_CHANCES, WINDOW * 24, np.random.default_rng(1)
            )["block_bootstrap"]
        )
    requests = float(np.nansum(total))
    return rows, float(np.nansum(bad)) / requests, requests, plain


def learn(forecast: Forecast, known: Windows) -> Floats:
    """Return the shifts of the groups, ``(groups, chances)``: the weighted quantile of the forecast's residuals."""
    left = _labels(known)[:, None] - _unshifted(forecast).raw(known.rows)
    numbers = probed_groups(known.rows.features.astype(np.float32))
    sizes = np.bincount(known.page)[known.page]
    weights = np.minimum(1.0, MOST_OF_ONE / sizes)
    shifts = np.zeros((PROBED_GROUPS, len(CHANCES)))
    for number in range(PROBED_GROUPS):
        inside = numbers == number
        for at, chance in enumerate(CHANCES):
            shifts[number, at] = _quantile(left[inside, at], weights[inside], 1 - chance)
    return shifts


def _labels(known: Windows) -> Floats:
    actual = np.maximum(known.actual, NO_FAILURE / known.requests)
    labels: Floats = (np.log10(actual) - known.rows.centre) / np.sqrt(known.rows.spread)
    return labels


def _unshifted(forecast: Forecast) -> Forecast:
    return replace(forecast, probed_shifts=np.zeros((PROBED_GROUPS, len(CHANCES))))


def _quantile(values: Floats, weights: Floats, share: float) -> float:
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][min(values.size - 1, int(np.searchsorted(below, share)))])


def leave_one_out(forecast: Forecast, known: Windows, judged: Windows) -> Floats:
    """Return predictions for each page's windows, learned from all other pages: ``(n, tiers)``."""
    columns = [CHANCES.index(chance) for chance in TIER_CHANCES]
    found = np.zeros((judged.page.size, len(TIER_CHANCES)))
    for page in np.unique(judged.page):
        shifts = learn(forecast, known.where(known.page != page))
        mine = judged.page == page
        rows = judged.where(mine).rows
        found[mine] = replace(forecast, probed_shifts=shifts).quantiles(rows)[:, columns]
    return found


def doubt(forecast: Forecast, directory: Path) -> Floats:
    """Return how far true quantiles of simulated sites lie from the forecast, as in ``tools.learn_forecast``."""
    rows = read(sorted(directory.glob("truth*.npz")))
    mine = rows.family == ALL_FAMILIES.index(SITES)
    features = FeatureRows(
        rows.features[mine].astype(np.float64), rows.centre[mine], rows.spread[mine], is_probed=True
    )
    found = forecast.quantiles(features)
    least = NO_FAILURE / rows.requests[mine]
    result = np.zeros((len(CHANCES), 2))
    for at, chance in enumerate(CHANCES):
        truth = np.maximum(np.quantile(rows.futures[mine], 1 - chance, axis=1), least)
        away = np.log10(truth) - np.log10(np.maximum(found[:, at], least))
        result[at] = np.quantile(away, [0.05, 0.95])
    return np.stack([np.minimum(result[:, 0], -0.01), np.maximum(result[:, 1], 0.01)], axis=1)


def table(pages: Mapping[str, Mapping[str, CountSeries]], judged: Windows, found: Floats) -> str:
    """Return one row for each page and one for all, in Markdown."""
    lines = [
        "| page | sites | windows | missed 1 / 5 / 20 % | block bootstrap missed "
        "| loss against the block bootstrap's |",
        "|---|---|---|---|---|---|",
    ]
    everything = np.ones(judged.page.size, dtype=bool)
    parts = [(name, judged.page == number) for number, name in enumerate(pages)]
    for name, mask in [*parts, ("**all**", everything)]:
        if mask.any():
            name, mine = name.replace("+", "/"), judged.where(mask)
            lines.append(f"| {name} | {mine.sites} | {int(mask.sum()):,} | {_scores(mine, found[mask])} |")
    return "\n".join(lines) + "\n"


def _scores(judged: Windows, found: Floats) -> str:
    shares, plain, ratios = [], [], []
    for at, chance in enumerate(TIER_CHANCES):
        shares.append(f"{100 * _share(judged, found[:, at], chance):.1f}")
        plain.append(f"{100 * float((judged.actual > judged.plain[:, at]).mean()):.1f}")
        relative = _relative_loss(judged, found[:, at], at)
        ratios.append("–" if relative is None else f"{relative:.2f}")
    return f"{' / '.join(shares)} % | {' / '.join(plain)} % | {' / '.join(ratios)}"


def figures(judged: Windows, found: Floats) -> dict[str, Any]:
    """Return the figures of the whole table: what was shown and held out, and how often each tier was missed.

    ``standard_error`` is that of a share whose cases come in clusters (Cochran 1977, §11): sites of a page go down
    together, so it is computed between pages, not windows. ``loss_relative`` is the pinball loss over that of the block
    bootstrap.
    """
    pages = len(np.unique(judged.page))
    result: dict[str, Any] = {
        "about": {
            "pages": pages,
            "sites": judged.sites,
            "windows": int(judged.page.size),
            "shown": f"{LEAST_DAYS} to {MOST_DAYS} days of probes; held out: the next {WINDOW} days",
            "judged": "each page by what was learned from all the others",
        },
        "regime": REGIME,
        "with_number": int(judged.page.size),
    }
    for at, (tier, chance) in enumerate(zip(TIERS, TIER_CHANCES, strict=True)):
        relative = _relative_loss(judged, found[:, at], at)
        result[tier] = {
            "stated": chance,
            "missed": round(_share(judged, found[:, at], chance), 5),
            "standard_error": round(_error_between_pages(judged, found[:, at], chance), 5),
            "loss_relative": None if relative is None else round(relative, 3),
        }
    return result


def _share(judged: Windows, found: Floats, chance: float) -> float:
    return missed(found, judged.actual, judged.requests, chance).below


def _error_between_pages(judged: Windows, found: Floats, chance: float) -> float:
    all_of_them = _share(judged, found, chance)
    away = []
    for page in np.unique(judged.page):
        mine = judged.page == page
        away.append(mine.sum() * (_share(judged.where(mine), found[mine], chance) - all_of_them))
    clusters = len(away)
    scale = clusters / (clusters - 1) if clusters > 1 else 1.0
    return float(np.sqrt(scale * np.sum(np.square(away)))) / judged.page.size


def _relative_loss(judged: Windows, found: Floats, at: int) -> float | None:
    floor = float(pinball(judged.plain[:, at], judged.actual, TIER_CHANCES[at]).mean())
    ours = float(pinball(found, judged.actual, TIER_CHANCES[at]).mean())
    return ours / floor if floor > LEAST_LOSS else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("histories", type=Path)
    parser.add_argument("--rows", type=Path, required=True, help="directory of simulated rows")
    parser.add_argument("--out", type=Path, default=OUTAGES)
    parser.add_argument("--table", type=Path, help="where the table of pages left out in turn is written")
    parser.add_argument("--figures", type=Path, help="where the whole of the table is written as JSON")
    options = parser.parse_args()
    pages = histories(options.histories)
    if not options.out.exists():
        _write(options.out, np.zeros((PROBED_GROUPS, len(CHANCES))), np.zeros((len(CHANCES), 2)))
    forecast = load(outages_path=options.out)
    known = windows(pages, is_judged=False)
    known = known.where(known.actual <= GIVEN_UP)
    if options.table is not None or options.figures is not None:
        judged = windows(pages, is_judged=True)
        found = leave_one_out(forecast, known, judged)
        text = table(pages, judged, found)
        print(text)  # noqa: T201
        if options.table is not None:
            options.table.write_text(text)
        if options.figures is not None:
            options.figures.write_text(json.dumps(figures(judged, found), indent=1) + "\n")
    shifts = learn(forecast, known)
    _write(options.out, shifts, doubt(replace(forecast, probed_shifts=shifts), options.rows))


def _write(path: Path, shifts: Floats, spread: Floats) -> None:
    np.savez_compressed(
        path, allow_pickle=False, shifts=shifts.astype(np.float32), doubt=spread.astype(np.float32)
    )


if __name__ == "__main__":
    main()
