"""The test suite that every adapter passes: subclass `AdapterContract`, give it an adapter and an artefact or two.

::

    class TestMyRuntime(AdapterContract):
        @pytest.fixture
        def adapter(self):
            return MyRuntime()

        @pytest.fixture
        def language_artefact(self):
            return Path("tiny.mymodel")

pytest collects the subclass and runs what the artefacts allow; the rest is skipped with a reason. Needs pytest and
numpy. Subclass once for each kind of artefact (float32, float16, quantized).
"""

from __future__ import annotations

from benchharness.testing.generation import GenerationContract
from benchharness.testing.language import LanguageContract
from benchharness.testing.opening import OpeningContract
from benchharness.testing.several import SeveralContract
from benchharness.testing.tensors import TensorContract


class AdapterContract(OpeningContract, TensorContract, LanguageContract, SeveralContract, GenerationContract):
    """What the harness relies on. Override fixtures to supply the subject, attributes to say what it can keep.

    Both stand in `benchharness.testing.subject`.
    """
