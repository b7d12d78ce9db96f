"""The demo model as LiteRT-LM bundles, made from the committed LiteRT artefacts: `python litert_lm_bundle.py`.

Writes `build/demo_model/litert-lm-fp32/model.litertlm`, and with `--precisions fp32,int8` others. Needs the package
litert-lm-builder. A bundle holds the very `.tflite` of its artefact, so that both run the same weights.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from litert_lm_builder import litertlm_builder
from litert_lm_builder.runtime.proto import llm_metadata_pb2

FOLDER = Path(__file__).resolve().parent
SOURCES = FOLDER / "artefacts"
OUT = FOLDER.parents[1] / "build" / "demo_model"
#: sampler_params.proto: the most probable token is what the first of one is. LiteRT-LM has no sampler of type TOP_K.
TOP_P, TOP_K = 2, 1
END_OF_TEXT = 0
CONTEXT_TOKENS = 512


def build(source: Path, out: Path, told: llm_metadata_pb2.LlmMetadata | None = None) -> Path:
    """Writes `model.litertlm` of a LiteRT artefact to a folder, with what `metadata` tells or other words; its path."""
    out.mkdir(parents=True, exist_ok=True)
    target = out / "model.litertlm"
    described = out / "metadata.pb"
    described.write_bytes((told or metadata()).SerializeToString())
    builder = litertlm_builder.LitertLmFileBuilder()
    builder.add_system_metadata(
        litertlm_builder.Metadata(key="Authors", value="benchharness", dtype=litertlm_builder.DType.STRING)
    )
    builder.add_llm_metadata(str(described))
    builder.add_hf_tokenizer(str(source / "tokenizer.json"))
    builder.add_tflite_model(str(source / "model.tflite"), litertlm_builder.TfLiteModelType.PREFILL_DECODE)
    with target.open("wb") as stream:
        builder.build(stream)
    described.unlink()
    return target


def metadata() -> llm_metadata_pb2.LlmMetadata:
    """What LiteRT-LM reads beside the weights: no chat template, and token 0 ends a text.

    No token begins one, as in the demo model's other formats: all runtimes shall be fed the same.
    """
    told = llm_metadata_pb2.LlmMetadata()
    told.stop_tokens.add().token_ids.ids.append(END_OF_TEXT)
    told.max_num_tokens = CONTEXT_TOKENS
    told.llm_model_type.generic_model.SetInParent()
    told.sampler_params.type = TOP_P
    told.sampler_params.k = 1
    told.sampler_params.p = 1.0
    told.sampler_params.temperature = 1.0
    return told


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog="example: python litert_lm_bundle.py --precisions fp32,int8"
    )
    parser.add_argument("--out", type=Path, default=OUT, help="folder of folders to write [build/demo_model]")
    parser.add_argument("--precisions", default="fp32", help="of the artefacts tflite-* [fp32]")
    found = parser.parse_args()
    for precision in found.precisions.split(","):
        print(build(SOURCES / f"tflite-{precision}", found.out / f"litert-lm-{precision}"))


if __name__ == "__main__":
    main()
