"""``lumiere convert``: convert a pickled checkpoint to safetensors."""

from __future__ import annotations

from pathlib import Path

import click

from lumiere.cli.options import overwrite_option, path_type


@click.command()
@click.argument("file", type=path_type)
@click.argument("out", type=path_type)
@overwrite_option
def command(file: Path, out: Path, overwrite: bool) -> None:
    """Convert the pickled checkpoint FILE (.ckpt, .pt, .pth, .bin) to the safetensors file OUT.

    FILE is read in a process of its own without network. It may hold tensors and plain numbers or text;
    anything else is refused by its name, and nothing is written.

    \b
    lumiere convert mm_sd_v15_v2.ckpt mm_sd_v15_v2.safetensors
    """
    from lumiere.io.files import check_output
    from lumiere.io.pickles import convert

    check_output(out, overwrite, {".safetensors"})
    done = convert(file, out)
    if done.left_out:
        more = f" and {len(done.left_out) - 5} more" if len(done.left_out) > 5 else ""
        click.echo(f"left out: {', '.join(done.left_out[:5])}{more}", err=True)
    click.echo(f"{done.tensors} tensors", err=True)
    click.echo(out)
