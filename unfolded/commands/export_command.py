"""`mcsc export`."""

from __future__ import annotations

from pathlib import Path

import click

from mcsc.commands.destinations import check_destinations
from mcsc.errors import InvalidValueError

from .extras import need


@click.command()
@click.argument("weights", metavar="WEIGHTS")
@click.option(
    "--out",
    "-o",
    metavar="FILE.onnx",
    required=True,
    type=click.Path(path_type=Path),
    help="ONNX file to write.",
)
def export(weights: str, out: Path) -> None:
    """Write a network as an ONNX model, for images of any size.

    WEIGHTS is a file that `mcsc train` wrote, the authors' .pth, or the name of weights that come
    with the package, such as depth-sr. The model takes x and y as the network sees them, and sigma
    if its thresholds follow the noise, and gives the image and its parts.

    \b
    mcsc export depth-sr -o depth.onnx
    """  # noqa: D301  (click wants the backspace itself)
    if out.suffix.lower() != ".onnx":
        raise InvalidValueError(f"--out {out}: want a name that ends in .onnx")
    check_destinations({"--out": out})
    need("torch", "safetensors", "onnx", "onnxscript", extra="export")
    from ..onnx import export_onnx
    from ..starts.opening import open_weights

    net = open_weights(weights)
    export_onnx(net, out)
    click.echo(f"{out}: {net.configuration.channels} channels, {out.stat().st_size / 1e6:.1f} MB")
