"""Adapters: one package for each runtime that runs models, with the adapter's class in its `__init__`.

An adapter imports `benchharness.contract`, `benchharness.errors`, numpy and its own runtime, and nothing else: it is
loaded on the device, under the Python the device has. Importing it imports the runtime, which is what the harness
times as the import phase. It is small, because what is not its own stands here:

* what files say without a runtime, a room a format: `onnx_format`, `gguf_format`, `openvino_format`, `pte_format`, and
  `litert_lm_bundle`; on `wire`, readers of what formats are written in, `model_files` and `stored_numbers`;
* what sessions share: `causal_session`, `token_checks`; `asked`, checks of a request;
* what a runtime may need that comes without: `c_structures` (a C library that nobody describes in Python), `web_page`
  (a browser).
"""
