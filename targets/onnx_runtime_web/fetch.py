"""Fetches the version of onnxruntime-web that is known here: from the npm registry, held against its hash.

`python -m targets.onnx_runtime_web.fetch` keeps the few files that a page needs in the user's cache.
"""

from __future__ import annotations

from targets.onnx_runtime_web.library import PACKAGE

fetch, main = PACKAGE.fetch, PACKAGE.main

if __name__ == "__main__":
    main()
