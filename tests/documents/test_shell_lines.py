"""How the calls on the pages are found: behind what starts them, whatever stands around."""

import pytest

from tests.tools.command_lines import complaint
from tests.tools.shell_lines import Call, calls, mentioned

BUNDLE = ["run", "--bundle", "my.colvi", "scope"]


@pytest.mark.parametrize(
    "line",
    [
        "colvi-edge run --bundle my.colvi scope",
        "colvi-edge run \\\n  --bundle my.colvi scope   # comment's quote\n",
        "sudo -u colvi /opt/colvi-edge/bin/colvi-edge run --bundle 'my.colvi' scope > out.txt 2>&1",
        "for one in a b; do colvi-edge run --bundle my.colvi scope | tee log; done",
        "if ! colvi-edge run --bundle my.colvi scope; then echo no; fi",
        "found=$(colvi-edge run --bundle my.colvi scope)",
        "cd scope && timeout 60 nice -n 19 colvi-edge run --bundle my.colvi scope &",
        "podman run --rm -v /srv:/srv localhost/colvi-edge:0.2 run --bundle my.colvi scope",
        "podman exec --interactive scope colvi-edge run --bundle my.colvi scope",
        "python3 -m colvi_edge run --bundle my.colvi scope",
    ],
)
def test_a_call_is_found(line: str) -> None:
    """Its words are what the program gets."""
    assert [call.words for call in calls(line)] == [BUNDLE]
    assert mentioned(line) <= 1


@pytest.mark.parametrize(
    "line",
    [
        "pip install colvi-edge",
        "podman build -t colvi-edge .",
        "# colvi-edge rnu",
        "sudo rm -r /opt/colvi-edge",
        "cat <<END\ncolvi-edge rnu\nEND",
    ],
)
def test_other_words_are_no_call(line: str) -> None:
    """A name of a package, an image or a folder is none, nor what stands in a comment or a text."""
    assert list(calls(line)) == []


def test_what_is_not_understood_is_noticed() -> None:
    """A call in a place that nobody thought of counts as mentioned, so that a test can fail."""
    line = "unheard-of colvi-edge rnu scope"

    assert list(calls(line)) == []
    assert mentioned(line) == 1


@pytest.mark.parametrize(
    "line",
    [
        "rnu scope",
        "run scope",
        "run --bundel demo scope",
        "run --bundle demo --engine tensorflow scope",
        "run --bundle demo --pixel-size-um small scope",
        "report scope another",
        "export model.pt",
        "--verison",
    ],
)
def test_a_wrong_line_is_told(line: str) -> None:
    """Commands, options, what is needed, choices, numbers, and how many arguments."""
    assert complaint(Call(line.split(), {}))


@pytest.mark.parametrize(
    ("line", "variables"),
    [
        ("run --bundle my.colvi --output-dir /results /data", {}),
        ("run scope", {"COLVI_EDGE_BUNDLE": "my.colvi:nuclei.colvi"}),
        ("train cultures -o model.pt --html test.html", {}),
        ("--help", {}),
        ("export --help", {}),
    ],
)
def test_a_right_line_is_not(line: str, variables: dict[str, str]) -> None:
    """Wherever its files are."""
    assert complaint(Call(line.split(), variables)) == ""
