"""A web process stays small: what a page must compute it asks a worker for. Of the engine it knows what a document
looks like, and no more.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_wsgi_pages_and_api_load_neither_scipy_nor_shap_nor_the_engine() -> None:
    program = (
        "import sys; import console.wsgi, console.urls, console.api; "
        "from django.urls import get_resolver; get_resolver().url_patterns; "
        "from apps.slos import retrieval, queries; from apps.slos.impact import analysis, risk; "
        "heavy = {'scipy', 'shap', 'numpy', 'numba', 'pandas'} & set(sys.modules); "
        "engine = [name for name in sys.modules if name.startswith('apps.engine.')]; "
        "print(sorted(heavy), engine)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[] ['apps.engine.document']"
