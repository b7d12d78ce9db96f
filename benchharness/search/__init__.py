"""An oracle for whoever searches: what one artefact costs on a device, and by how much it keeps its budgets.

::

    from benchharness.search import measure

    told = measure("int4/model.onnx", {"tpot": "2 ms", "size": "500 kB", "kld": "0.1 nats"}, reference="model.onnx",
                   evaluate="heldout.txt", scenarios=["steady", "quality"])
    told.keeps                      # whether every budget is kept, by whole intervals
    told.constraints                # for a sampler: at or below 0 where a budget is kept, noise included
    told.at_worst("tpot")           # ... and what to tell it of an objective
    told.cached, told.stopped       # whether it was known already, and why measuring ended early

What proposes artefacts is somebody else's: Optuna, an evolutionary search, a person. `examples/search` has a whole one.
"""

from __future__ import annotations

from benchharness.search.measured import Margin, Measured
from benchharness.search.oracle import measure

__all__ = ["Margin", "Measured", "measure"]
