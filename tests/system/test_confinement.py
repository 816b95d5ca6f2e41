"""A confined child can change one folder and nothing else, and its end is one sentence, whatever ends it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import typer

from colvi_edge.cli.confined.parent import _told, gather, run_confined
from colvi_edge.doctor import examine
from colvi_edge.errors import ModelError, OutputError, UsageError
from colvi_edge.system.confinement import Offered, offered, time_limit

ROOT = Path(__file__).parents[2]
ALLOWED = {"create in the draft", "read", "null"}

whole = pytest.mark.skipif(
    offered().landlock < 6 or not offered().seccomp, reason="needs Landlock 6 (Linux 6.12) and seccomp"
)


@pytest.fixture
def draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder for a child, which finds the bodies of tests.tools.mischief."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "draft" / "out").mkdir(parents=True)
    return tmp_path / "draft"


def confined(body: str, draft: Path, **arguments: Any) -> int:
    """Run a body in a child."""
    return run_confined(f"tests.tools.mischief:{body}", "model.pt", draft, **arguments)


@whole
def test_nothing_but_the_draft_changes(draft: Path, tmp_path: Path) -> None:
    """Files, links, sockets, programs, signals: all refused; the draft, and reading, are free."""
    target = tmp_path / "target"
    target.mkdir()
    (target / "held").write_text("precious")

    assert confined("tries", draft, target=target, folder=draft) == 3
    found = dict(line.split(": ") for line in gather(draft / "out")["found"].decode().splitlines())
    assert {what for what, came in found.items() if came == "done"} == ALLOWED
    assert [path.name for path in target.iterdir()] == ["held"]
    assert (target / "held").read_text() == "precious"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            "endless",
            "model.pt did not survive a trial in a process of its own: it took longer than a network",
        ),
        ("hog", "the network takes more than 8 GiB of memory; take a smaller one"),
        ("greed_in_c", "model.pt did not survive .*: it broke off, as where more than 8 GiB of memory are"),
        ("crash", "model.pt did not survive .*: it crashed; save the network again, or take another"),
    ],
)
def test_each_end_has_its_sentence(body: str, sentence: str, draft: Path) -> None:
    """An endless loop in C, memory without end, a crash: exit code 2, no traceback, no core."""
    with pytest.raises(ModelError, match=sentence) as caught:
        confined(body, draft)

    assert caught.value.exit_code == 2
    assert not [path for path in draft.rglob("*") if path.name.startswith("core")]


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (signal.SIGKILL, "it was ended, which the kernel does where memory is short"),
        (signal.SIGXCPU, "it took more processor time than any export needs"),
        (signal.SIGTERM, "it ended with signal 15"),
    ],
)
def test_signals_are_told(number: int, sentence: str, draft: Path) -> None:
    """By what they mean, where they mean one thing."""
    with pytest.raises(ModelError, match=sentence):
        confined("ended_by", draft, number=number)


def test_errors_come_back_as_what_they_were(draft: Path) -> None:
    """With their exit code, and in words that leave a terminal alone."""
    with pytest.raises(OutputError, match=r"no room\\x1b\[2J; make some"):
        confined("told", draft)


@pytest.mark.parametrize(
    ("word", "command", "options"),
    [
        ({"command": ["python", "-m", "tf2onnx.convert", "--keras", "a b"]}, 5, 0),
        ({"command": ["colvi-edge", "export"], "options": ["--force"]}, 2, 1),
        ({"command": ["rm", "-r", "."]}, 0, 0),
        ({"command": ["python", "-c", "import os"]}, 0, 0),
        ({"command": "colvi-edge"}, 0, 0),
        ({"command": ["colvi-edge", 1]}, 0, 0),
        ({"options": ["--classes", "control,patient"]}, 0, 2),
        ({"options": ["--force", "; rm"]}, 0, 0),
        ({"options": ["$(rm)"]}, 0, 0),
        ({"options": [["--force"]]}, 0, 0),
        ({"options": 7}, 0, 0),
    ],
)
def test_only_our_commands_are_proposed(word: dict[str, Any], command: int, options: int) -> None:
    """Who took over a child may have it say anything, and somebody would type what stands there."""
    said = json.dumps({"kind": "usage", "message": "m", **word}).encode()
    with pytest.raises(UsageError) as told:
        _told(said, 0, "model.pt")

    assert (len(told.value.command), len(told.value.options)) == (command, options)


def test_a_bug_keeps_its_traceback(draft: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It is nobody's model that is at fault."""
    with pytest.raises(typer.Exit) as end:
        confined("bug", draft)

    assert end.value.exit_code == 1
    assert "ZeroDivisionError: a bug of ours" in capfd.readouterr().err


def test_a_module_of_the_working_folder_is_not_imported(
    draft: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file named json.py beside the model is no part of the program."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "json.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nraise SystemExit(7)\n")
    monkeypatch.chdir(work)

    assert confined("is_here", draft) == 0
    assert not (tmp_path / "ran").exists()


def test_a_link_among_the_results_is_refused(draft: Path) -> None:
    """Who runs code in the child must not have the parent copy any file into a bundle."""
    confined("lies", draft, folder=draft)
    with pytest.raises(ModelError, match=r"bundle\.onnx is no plain file"):
        gather(draft / "out")


def test_the_child_ends_with_its_parent_and_by_ctrl_c(draft: Path, tmp_path: Path) -> None:
    """Whether the parent is interrupted or killed, no child is left behind."""
    code = (
        "import sys; from pathlib import Path; from colvi_edge.cli.confined.parent import run_confined\n"
        "run_confined('tests.tools.mischief:waits', 'm.pt', Path(sys.argv[1]), note=Path(sys.argv[2]))\n"
    )
    for number in (signal.SIGINT, signal.SIGKILL):
        note = draft / f"note-{number}"
        parent = subprocess.Popen(
            [sys.executable, "-c", code, str(draft), str(note)],
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        child = int(_until_written(note))
        if number == signal.SIGINT:
            os.killpg(parent.pid, number)
        else:
            parent.send_signal(number)
        parent.wait(30)
        assert _is_gone(child), number


def _until_written(note: Path) -> str:
    for _ in range(600):
        if note.exists() and (text := note.read_text()):
            return text
        time.sleep(0.1)
    raise AssertionError("the child never began")


def _is_gone(process: int) -> bool:
    for _ in range(300):
        try:
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True  # nobody asks after it
        except OSError:
            return True
        time.sleep(0.1)
    return False


def test_only_a_confined_process_is_ended_by_the_clock() -> None:
    """Whoever reads a model in a notebook keeps the notebook."""
    with time_limit(1):
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_doctor_says_what_holds_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """By name, and what is lacking with the kernel that has it."""
    monkeypatch.setattr("colvi_edge.doctor._engines", lambda bundle: [])
    monkeypatch.setattr("colvi_edge.doctor._gpu", lambda bundle: [])

    def said(kernel: Offered) -> tuple[str, str]:
        monkeypatch.setattr("colvi_edge.doctor.offered", lambda: kernel)
        (finding,) = (finding for finding in examine() if finding.what == "confinement")
        return finding.state, finding.words

    state, words = said(Offered(7, seccomp=True))
    assert state == "ok"
    assert "no file changes but drafts, no signals to others, no network and no programs" in words
    state, words = said(Offered(0, seccomp=False))
    assert state == "note"
    assert words.endswith(
        "for more this kernel lacks Landlock (Linux 5.13) and a seccomp filter (x86-64 or aarch64)"
    )
    assert "no TCP" in said(Offered(4, seccomp=False))[1]
