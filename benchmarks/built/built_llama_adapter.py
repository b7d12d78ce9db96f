"""The llama.cpp adapter on a library that was built here, under a name of its own: see `benchmarks.built_llama`."""

from __future__ import annotations

from benchmarks import built_llama

built_llama.install()

from targets.llama_cpp import LlamaCpp  # noqa: E402 - the library has to be there first


class BuiltLlama(LlamaCpp):
    """The adapter, and nothing else."""

    name = "llama-cpp-built"
