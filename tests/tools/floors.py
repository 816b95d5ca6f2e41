"""The oldest versions that pyproject.toml allows, as constraints for pip; `make floors` installs them."""

from pathlib import Path

from build import ProjectBuilder
from build.util import project_wheel_metadata
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent.parent


def requirements() -> list[Requirement]:
    """Return what a wheel of this checkout requires, with every extra."""
    metadata = project_wheel_metadata(ROOT, isolated=False)
    return [Requirement(text) for text in metadata.get_all("Requires-Dist") or []]


def build_requirements() -> list[Requirement]:
    """Return what building that wheel requires."""
    return [Requirement(text) for text in ProjectBuilder(ROOT).build_system_requires]


def floor(requirement: Requirement) -> str | None:
    """Return the oldest version that a requirement allows; None if it allows any."""
    return next((bound.version for bound in requirement.specifier if bound.operator in (">=", "==")), None)


def constraints(extra: str) -> list[str]:
    """Return `name==version` of what the runtime and an extra require of this Python at least."""
    return [
        f"{requirement.name}=={floor(requirement)}"
        for requirement in requirements()
        if requirement.marker is None
        or any(requirement.marker.evaluate({"extra": wanted}) for wanted in ("", extra))
    ]


if __name__ == "__main__":
    print("\n".join(constraints("onnxruntime")))  # noqa: T201 # its only purpose
