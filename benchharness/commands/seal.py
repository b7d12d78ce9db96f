"""Encrypts a model's file."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
from pathlib import Path
from typing import Annotated

import typer


def seal(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model's file.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.sealed", help="Where the sealed file goes.")],
    key_from: Annotated[
        str,
        typer.Option("--key-from", metavar="SOURCE", help="Where the key is: env:NAME or 'command:PROGRAM ARGUMENTS'."),
    ],
) -> None:
    """Encrypt a model's file (AES-256-GCM), so that a run can tell what a sealed artefact costs on a device.

    The key is 64 hexadecimal digits, as `openssl rand -hex 32` writes them. It is never an argument.

    \b
    Example:
      benchharness seal model.onnx --out model.onnx.sealed --key-from env:MODEL_KEY
    """
    from benchharness.compress.sealing import seal as sealed

    made = sealed(model, out, key_from=key_from)
    typer.echo(f"{made}: {made.stat().st_size} bytes")
