import numpy as np
import pytest
from numpy_linear import NumpyLinear

from benchharness.testing import AdapterContract


class TestNumpyLinear(AdapterContract):
    @pytest.fixture
    def adapter(self):
        return NumpyLinear()

    @pytest.fixture
    def tensor_artefact(self, tmp_path):
        random = np.random.default_rng(0)
        np.savez(tmp_path / "tiny.linear.npz", weights=random.normal(size=(64, 10)), bias=random.normal(size=10))
        return tmp_path / "tiny.linear.npz"
