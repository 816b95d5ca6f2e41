"""The tables that pages ask for, by name."""

from collections.abc import Callable

from generated import commands, errors, schemas, variables

TABLES: dict[str, Callable[[], str]] = {
    "commands": commands.index,
    "errors-by-code": errors.by_code,
    "errors-by-kind": errors.by_kind,
    "program-options": commands.options_of_the_program,
    "schema-files": schemas.list_of_files,
    "schema-of-bundles": schemas.bundle,
    "schema-of-bundles-without-task": schemas.flat_bundle,
    "schema-of-sidecars": schemas.sidecar,
    "variables": variables.by_name,
    "variables-none": variables.without,
}
"""What stands on a page where it says `<!-- generated: NAME -->`."""


def filled(markdown: str) -> str:
    """Return a page with the tables that it asks for."""
    for name, make in TABLES.items():
        mark = f"<!-- generated: {name} -->"
        if mark in markdown:
            markdown = markdown.replace(mark, make())
    return markdown
