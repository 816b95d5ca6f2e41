"""`make` alone says what can be made."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_target_is_listed_with_a_sentence() -> None:
    """In 80 columns, each once, none without words."""
    command = ["make", "--no-print-directory"]  # which says where it is, if make made this test
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    phony = re.findall(r"(?m)^\.PHONY: (.+)$", (ROOT / "Makefile").read_text())

    assert max(map(len, listed.splitlines())) <= 80
    assert re.findall(r"(?m)^  ([a-z-]+) +[A-Z]", listed) == phony[0].split()
    assert listed.strip().endswith(".")
