"""What mkdocs does for this site beyond turning Markdown into HTML.

Pages and tables that are read from the code, the notebook, pages of the root and records of measurements
become part of the site while it is built; nothing of them is written into the checkout.
"""

import hashlib
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation
from mkdocs.structure.pages import Page

from generated import commands, links, lists, notebook, schemas, tables
from generated.anchors import slug

ROOT = Path(__file__).parents[2]

_ran: dict[str, Any] = {}  # notebooks by their content, for `mkdocs serve`, which builds again and again


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add a page for each command to the navigation, and make anchors as in a checkout."""
    config.mdx_configs.setdefault("toc", {})["slugify"] = slug
    for section in config.nav or []:
        for entry in section.get("Reference", []):
            if isinstance(entry, dict) and "Commands" in entry:
                entry["Commands"] = [*entry["Commands"][:1], *commands.paths()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is made of the code, of notebooks and of files outside docs/."""
    made: dict[str, str | bytes] = {**dict(commands.pages()), **dict(schemas.pages())}
    for book in sorted(Path(config.docs_dir).rglob("*.ipynb")):
        name = book.relative_to(config.docs_dir).with_suffix("").as_posix()
        ran = notebook.page(_run(book), name)
        made |= {f"{name}.md": ran.markdown, **ran.pictures}
    for source, page in links.ROOT_PAGES.items():
        if page != "index.md" and (ROOT / source).is_file():
            made[page] = (ROOT / source).read_text(encoding="utf-8")
    for path, content in made.items():
        files.append(File.generated(config, path, content=content))
    for needed in sorted(_needed(files)):
        content = (ROOT / needed).read_bytes()
        files.append(File.generated(config, f"{links.FILES}/{needed}", content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put tables where a page asks for them, and lead its links to where they stand on the site."""
    return lists.indented(_led(tables.filled(markdown), page.file).markdown)


def on_nav(nav: Navigation, config: MkDocsConfig, files: Files) -> Navigation:
    """Call the page of a command by its name alone in the navigation."""
    for page in nav.pages:
        if page.file.src_uri in commands.paths():
            page.title = page.file.name
    return nav


def _run(path: Path) -> Any:
    key = hashlib.sha256(path.read_bytes()).hexdigest()
    if key not in _ran:
        _ran[key] = notebook.run(path)
    return _ran[key]


def _needed(files: Files) -> set[str]:
    """Return the files of the checkout, outside docs/, that pages link to."""
    return set[str]().union(*(_led(file.content_string, file).files for file in files.documentation_pages()))


def _led(markdown: str, file: File) -> links.Led:
    return links.lead(markdown, _source(file), file.src_uri, ROOT)


def _source(file: File) -> str:
    """Return the path in the checkout of what a page is made of."""
    roots = {page: source for source, page in links.ROOT_PAGES.items() if page != "index.md"}
    return roots.get(file.src_uri, f"docs/{file.src_uri}")
