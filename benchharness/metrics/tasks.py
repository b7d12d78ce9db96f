"""What a model gets right, and what compression took from it: measures of tasks, paired by document."""

from __future__ import annotations

from benchharness.metrics.definition import Better, Metric, Unit

_OURS = "benchharness"

#: The parameters say of which task, and which of its measures.
TASKS = (
    Metric(
        name="task_accuracy",
        title="task accuracy",
        unit=Unit.SHARE,
        better=Better.HIGHER,
        definition="a task's own measure between 0 and 1, mean over its documents: share right, partial credit too",
        source="the task",
        headline=True,
        parts="measure",
    ),
    Metric(
        name="task_score",
        title="task score",
        unit=Unit.NUMBER,
        better=Better.HIGHER,
        definition="a task's own measure of which more is better, and that is no share of documents",
        source="the task",
        headline=True,
        parts="measure",
    ),
    Metric(
        name="task_error",
        title="task error",
        unit=Unit.NUMBER,
        better=Better.LOWER,
        definition="a task's own measure of which less is better: an error rate, a perplexity, bits per byte",
        source="the task",
        headline=True,
        parts="measure",
    ),
    Metric(
        name="accuracy_loss",
        title="accuracy loss",
        unit=Unit.SHARE,
        better=Better.LOWER,
        definition="the reference's task accuracy less the variant's, paired by document",
        source=_OURS,
        headline=True,
        parts="measure",
    ),
    Metric(
        name="score_loss",
        title="score loss",
        unit=Unit.NUMBER,
        better=Better.LOWER,
        definition="by how much the variant's task score or error is worse than the reference's, paired by document",
        source=_OURS,
        headline=True,
        parts="measure",
    ),
)
