"""Adapters: one package for each runtime that runs models, with the adapter's class in its `__init__`.

An adapter imports `benchharness.contract`, `benchharness.errors`, numpy and its own runtime, and nothing else: it is
loaded on the device, under the Python the device has. Importing it imports the runtime, which is what the harness
times as the import phase. What several runtimes need stands here: `wire`, `token_checks`, `model_files`,
`litert_lm_bundle`, `onnx_format`, `asked` and `stored_numbers`.
"""
