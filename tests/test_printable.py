"""The one printer: of no text from outside is anything left that a terminal or a log's reader would obey."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from colvi_edge.printable import (
    in_a_row,
    printable_json,
    printable_lines,
    printable_name,
    printable_traceback,
    unambiguous_name,
)
from colvi_edge.terminal.console import PrintableConsole, shown
from colvi_edge.terminal.streams import PrintableStream
from tests.tools.terminal import Screen

ANYTHING = st.text(st.characters(), max_size=40) | st.text(
    st.sampled_from(
        "\x1b[]()0;m\x07\r\n\t\x00\x7f\x85\x9b\u2028\u2029\u202e\u2066\u200b\ufeff\udcff\udc80\\/:#'\" a"
    ),
    max_size=40,
)
FORGING = "a\x1b]0;OWNED\x07\nforged \x9b31m\u202e\udcff[red]b[/red] :warning: [link=x]c\\"


def is_clean(text: str) -> bool:
    """Return whether nothing but letters and line feeds is there."""
    return text.replace("\n", "").isprintable()


def test_words_in_a_row() -> None:
    """Commas between them, a word before the last."""
    assert in_a_row(["auto"]) == "auto"
    assert in_a_row([".tif", ".lif"], "and") == ".tif and .lif"
    assert in_a_row(["auto", "fp32", "int8"]) == "auto, fp32 or int8"


@given(ANYTHING)
@example(FORGING)
def test_names_lose_nothing_and_obey_nobody(text: str) -> None:
    """What is printable stays; what is escaped can be read back where a backslash is told from its own."""
    shown_name = printable_name(text)

    assert shown_name.isprintable()
    assert printable_name(shown_name) == shown_name
    assert text.isprintable() == (shown_name == text)
    back = unambiguous_name(text).encode("ascii", "backslashreplace").decode("unicode_escape")
    assert back.encode("utf-8", "surrogatepass") == text.encode("utf-8", "surrogatepass")
    assert is_clean(printable_lines(text))
    assert printable_lines(text).count("\n") == text.count("\n")


@given(
    st.recursive(
        st.none() | st.integers() | ANYTHING, lambda inner: st.lists(inner) | st.dictionaries(ANYTHING, inner)
    )
)
def test_json_keeps_its_meaning(plain: object) -> None:
    """Also what JSON itself would let through: DEL, the controls from 0x80 on, marks that turn a line."""
    for text in (json.dumps(plain), json.dumps(plain, ensure_ascii=False, indent=1)):
        printed = printable_json(text)
        assert is_clean(printed)
        assert json.loads(printed) == plain


@given(ANYTHING)
@example(FORGING)
@settings(max_examples=200)
def test_a_console_prints_a_name_in_its_line_and_as_it_is(text: str) -> None:
    """In a line with our colours and in a cell; nothing in it is markup or an emoji."""
    expected = printable_name(text)
    for terminal in (False, True):
        file = Screen() if terminal else io.StringIO()
        console = PrintableConsole(
            file=file, width=1000, highlight=False, emoji=False, force_terminal=terminal
        )
        console.print(f"[red]<[/]{shown(text)}[red]>[/]{shown(text)}]", soft_wrap=True)
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_row(f"<{shown(text)}>")
        console.print(table)
        printed = file.getvalue()
        if terminal:
            printed = re.sub(r"\x1b\[[\d;]*m", "", printed)
        assert is_clean(printed)
        line, cell = printed.splitlines()
        assert (line, cell.rstrip()) == (f"<{expected}>{expected}]", f"<{expected}>")


@given(ANYTHING)
@example(FORGING)
def test_a_console_prints_no_control_that_was_not_made_printable(text: str) -> None:
    """Whoever forgets `shown` may lose a line; the terminal does nothing that it was told."""
    for terminal in (False, True):
        file = Screen() if terminal else io.StringIO()
        console = PrintableConsole(file=file, width=80, highlight=False, emoji=False, force_terminal=terminal)
        console.print(text, markup=False)
        console.print(Text(text, style="bold"))
        table = Table("head", box=None)
        table.add_row(Text(text))
        console.print(table)
        assert is_clean(re.sub(r"\x1b\[(1|0)m", "", file.getvalue()) if terminal else file.getvalue())


@given(st.lists(ANYTHING))
def test_nothing_else_gets_behind_the_stream(texts: list[str]) -> None:
    """It is what libraries, usage errors and warnings write to."""
    behind = io.StringIO()
    stream = PrintableStream(behind)
    for text in texts:
        assert stream.write(text) == len(text)
    stream.flush()

    assert behind.getvalue() == printable_lines("".join(texts))


def test_a_traceback_names_the_lines_of_code_and_what_led_to_it() -> None:
    """Its words stay in their line; without them neither they nor any name is left."""
    try:
        try:
            Path(f"/nowhere/{FORGING}").read_bytes()
        except OSError as error:
            raise KeyError(FORGING) from error
    except KeyError as error:
        full, bare = (printable_traceback(error, words=words) for words in (True, False))
        error.__cause__.__cause__ = error  # type: ignore[union-attr] # a circle
        circle = printable_traceback(error)

    assert circle.count("Traceback") == 2
    for text in (full, bare):
        assert is_clean(text)
        assert re.findall(r"(?m)^(\w+): ", text) == ["FileNotFoundError", "KeyError"]
        assert "read_bytes()" in text
        assert not re.search(r"(?m)^forged", text)
    assert "OWNED" in full
    assert "OWNED" not in bare


def test_only_the_printer_prints() -> None:
    """No module makes a console of its own, takes rich's escape, or prints what did not go through here."""
    allowed = {
        "colvi_edge/terminal/console.py",
        "kernels/__main__.py",  # a developer's, of figures that it made itself
    }
    root = Path(__file__).parents[1]
    for path in [*root.glob("colvi_edge/**/*.py"), *root.glob("export/**/*.py"), *root.glob("kernels/*.py")]:
        name, text = str(path.relative_to(root)), path.read_text()
        if name not in allowed:
            assert not re.search(r"\bConsole\(|rich\.markup|stdout\.write|rich import print", text), name
            for line in re.sub(r'"""(.|\n)*?"""', "", text).splitlines():  # whose examples are others' lines
                if re.search(r"(?<![\w.])print\(", line):
                    assert re.search(r"printable_json\(|it is a log|the answer", line), f"{name}: {line}"
                if "typer.echo" in line:
                    assert re.search(r"printable_|__version__", line), f"{name}: {line}"


def test_the_command_line_is_behind_it() -> None:
    """Usage errors, warnings and logs of libraries, and bugs: whatever is written to the two streams."""
    code = (
        "import sys, logging, warnings, typer\n"
        f"text = {FORGING!r}\n"
        "from colvi_edge import cli\n"
        "def odd():\n"
        "    print(text); print(text, file=sys.stderr); typer.echo(text); typer.echo(text, err=True)\n"
        "    logging.getLogger('tifffile').error(text); warnings.warn(text)\n"
        "    raise RuntimeError(text)\n"
        "cli.app.command()(odd)\n"
        "cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, "odd"], capture_output=True, check=False)
    assert done.returncode == 1
    stdout, stderr = done.stdout.decode(), done.stderr.decode()

    assert is_clean(stdout)
    assert is_clean(stderr)
    assert stdout.count("OWNED") == 2
    assert stderr.count("OWNED") >= 5
    assert stderr.splitlines()[-1].startswith("RuntimeError: a\\x1b]0;OWNED\\x07\\nforged ")
