"""onnxruntime-web's files: where they are, and how they get there.

It is an npm package. `python -m targets.onnx_runtime_web.fetch` puts the one version that is known here into the user's
cache. A configuration's `library` names another folder that holds it: a project's `node_modules/onnxruntime-web/dist`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchharness.errors import Unsupported
from targets.web_page.npm import NpmPackage

VERSION = "1.30.0"
#: By provider: the script that a page imports, then what that script loads.
BUILDS: Mapping[str, Sequence[str]] = {
    "wasm": ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"),
    "webgpu": (
        "ort.webgpu.min.mjs",
        "ort-wasm-simd-threaded.asyncify.mjs",
        "ort-wasm-simd-threaded.asyncify.wasm",
    ),
}
PACKAGE = NpmPackage(
    "onnxruntime-web",
    VERSION,
    sha512="q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
    archive_bytes=33_106_585,
    files=[name for names in BUILDS.values() for name in names],
)
#: Another WebGPU, in JavaScript, that older versions have alone.
_JSEP = "*.jsep.wasm"
#: The comment at a script's beginning.
_BANNER = re.compile(rb"ONNX Runtime Web v([\w.+-]{1,60})")
_BANNER_BYTES = 500


@dataclass(frozen=True)
class Library:
    """A folder with onnxruntime-web's files, and the version that its script names."""

    folder: Path
    version: str

    def check(self, provider: str) -> None:
        """Raises `Unsupported` where a file is missing that a provider needs."""
        missing = [name for name in BUILDS[provider] if not (self.folder / name).is_file()]
        if missing and any(self.folder.glob(_JSEP)):
            raise Unsupported(
                f"{self.folder}: version {self.version} has WebGPU in its JSEP build, which takes no empty tensors, "
                f"and a language model's cache is empty at first; it needs {missing[0]}, as {VERSION} has it"
            )
        if missing:
            raise Unsupported(f"{self.folder}: has no {missing[0]}, which {provider!r} of onnxruntime-web needs")


def find(named: str | None = None) -> Library:
    """The library in the folder that is named, else what was fetched. Raises `Unsupported`, and says what helps."""
    folder = Path(named) if named is not None else PACKAGE.folder
    script = folder / BUILDS["wasm"][0]
    try:
        with script.open("rb") as stream:
            told = _BANNER.search(stream.read(_BANNER_BYTES))
    except OSError:
        if named is not None:
            raise Unsupported(
                f"library: {named}: has no {script.name}; name the dist folder of an onnxruntime-web"
            ) from None
        raise Unsupported(f"onnxruntime-web is not here; {_command()} fetches {VERSION} from npm (33 MB)") from None
    if told is None:
        raise Unsupported(f"{script}: does not say which version of onnxruntime-web it is")
    return Library(folder, told[1].decode())


def _command() -> str:
    """What fetches it, from this very interpreter, as a line for a shell."""
    if Path(__file__).is_file():
        return f"`{sys.executable} -m targets.onnx_runtime_web.fetch`"
    return f"`{sys.executable} {sys.argv[0]} module targets.onnx_runtime_web.fetch`"
