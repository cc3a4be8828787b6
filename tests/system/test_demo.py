"""`python -m tools demo`, as somebody types it: every answer is what it should be, or the demo fails."""

import os
import subprocess
import sys

from shared.embedded import scratch_folder
from shared.local_model import LocalModel
from tools.settings import ROOT

ANSWERS = (
    "A model answers as it writes: smollm2-135m-instruct",
    "no event twice, none missing",
    "characters that were streamed",
    "made of the code block in the answer",
    "as a new one",
    "«Photosynthesis»",
    "by the prices of",
    ", smollm2-135m-instruct: 4 runs",
    ", small-1: 1 runs",
)


def test_the_tour_starts_a_stack_where_none_runs_and_goes_through_every_chapter():
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    with scratch_folder() as folder:
        tour = subprocess.run(
            [sys.executable, "-m", "tools", "demo"],
            cwd=ROOT,
            env=environment | {"PARLEY_DATA_DIR": str(folder / "data")},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert tour.returncode == 0, tour.stdout + tour.stderr
    for sign in (
        *(ANSWERS if LocalModel.available() else ("No model answers here",)),
        "10 answers, one successor for all",
        "ETAG_MISMATCH",
        "REQUEST_ID_REUSED",
        "the address is hers",
        "a challenge and no tokens",
        "a key of the scopes chat.read",
        "library computer is out",
        "not active: REVOKED",
    ):
        assert sign in tour.stdout
    assert "make run" in tour.stdout
    assert "a walk in the long rain" not in tour.stdout
