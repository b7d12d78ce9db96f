"""Reads GGUF models without llama.cpp, for whoever opens or makes them: the adapter and the recipes of `compress`.

`files` finds the model and its parts, `contents` reads what they say of themselves, `inspection` describes it.
"""
