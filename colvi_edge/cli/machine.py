"""The commands that look at this machine: measure it, check it."""

import gc
from pathlib import Path
from typing import Annotated

import typer

from colvi_edge.choices import DEMO, EngineName, PrecisionChoice, words_in
from colvi_edge.cli.line import completion
from colvi_edge.cli.line.options import (
    BundleOption,
    ChannelsOption,
    JsonOption,
    option,
)
from colvi_edge.cli.line.readings import refuse_place, roles_of, several_of
from colvi_edge.cli.line.telling import QuietOption
from colvi_edge.cli.line.variables import whole_bundles


def bench(
    bundle: BundleOption,
    image: Annotated[
        Path | None,
        typer.Argument(
            help="The lab's own raw file; without one a projection is simulated.", dir_okay=False, exists=True
        ),
    ] = None,
    engine: Annotated[
        str,
        option(
            "--engine",
            metavar="LIST",
            autocompletion=completion.lists(*(engine.value for engine in EngineName)),
            help=f"{words_in(EngineName)}, or several.",
        ),
    ] = "auto",
    precision: Annotated[
        str,
        option(
            "--precision",
            metavar="LIST",
            autocompletion=completion.lists(*(precision.value for precision in PrecisionChoice)),
            help=f"{words_in(PrecisionChoice)}, or several, each on every engine.",
        ),
    ] = "auto",
    channels: ChannelsOption = None,
    rounds: Annotated[
        int | None,
        option(
            "--rounds",
            of="bench",
            min=1,
            help="Images of each engine and compression; without it what fits half a minute, 20 at least.",
        ),
    ] = None,
    idle: Annotated[
        float,
        option(
            "--idle",
            of="bench",
            min=0,
            metavar="SECONDS",
            help="Also measure images after so long a rest; 0 does not.",
        ),
    ] = 3.0,
    peers: Annotated[
        bool, option("--peers", of="bench", help="Also time the network on what else is installed.")
    ] = False,
    check: Annotated[
        bool, option("--check", of="bench", help="Also compare decisions with torch's and with FP32's.")
    ] = False,
    budget_ms: Annotated[
        float | None,
        option(
            "--budget-ms",
            of="bench",
            min=0,
            metavar="MILLISECONDS",
            help="End with exit code 6 if 95 % of the images are not done within this.",
        ),
    ] = None,
    compare: Annotated[
        Path | None,
        option("--compare", of="bench", dir_okay=False, help="Tell what changed since an earlier --json."),
    ] = None,
    json: Annotated[
        Path | None, option("--json", of="bench", dir_okay=False, help="Write every sample here.")
    ] = None,
    html: Annotated[
        Path | None, option("--html", of="bench", dir_okay=False, help="Write a page with plots here.")
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Measure where each millisecond goes.

    From file to JSON, stage by stage: one after the other, after a rest, from a new process, in a burst.
    """
    from colvi_edge.bench.measuring.measure import BenchRequest
    from colvi_edge.cli.bench import bench as measure
    from colvi_edge.outputs.named import Named

    refuse_place("--json", Named.RECORD, json)
    refuse_place("--html", Named.PAGE, html)
    request = BenchRequest(
        image=image,
        channels=roles_of(channels),
        bundle=bundle,
        engines=several_of(EngineName, "--engine", engine),
        precisions=several_of(PrecisionChoice, "--precision", precision),
        rounds=rounds,
        idle_s=idle,
        peers=peers,
        check=check,
    )
    # The peers' modules are no part of what is measured, either.
    code = measure(
        request,
        budget_ms=budget_ms,
        compare=compare,
        json=json,
        html=html,
        quiet=quiet,
        when_loaded=gc.freeze,
    )
    raise typer.Exit(code)


def doctor(
    image: Annotated[
        Path | None,
        option(
            "--image",
            of="doctor",
            dir_okay=False,
            exists=True,
            help="Check this raw file instead: what is wrong with it, and how it compares with the training.",
        ),
    ] = None,
    bundle: Annotated[
        list[Path] | None,
        option(
            "--bundle",
            path_type=str,
            callback=whole_bundles,
            metavar="PATH|demo",
            autocompletion=completion.bundles,
            help="Whose training images and rules --image is compared with; without it 'demo'. May be given "
            "several times.",
        ),
    ] = None,
    channels: ChannelsOption = None,
    json: JsonOption = False,
) -> None:
    """Check this machine, or an image.

    Engines, bundle, a self-test, and what is missing for more.
    """
    from colvi_edge.cli.show.findings import show_findings
    from colvi_edge.doctor import examine, examine_image

    if image:
        roles = roles_of(channels)
        asked = bundle or [Path(DEMO)]
        findings = [found for where in asked for found in examine_image(image, str(where), roles)]
    else:
        findings = examine()
    show_findings(findings, as_json=json)
    raise typer.Exit(next((finding.exit_code for finding in findings if finding.exit_code), 0))
