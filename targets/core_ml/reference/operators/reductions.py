"""Operators that make one number of many: sums, norms, extremes, and their places."""

from __future__ import annotations

from targets.core_ml.reference.graph import Call, Table, Translator


def _reduce(operator: str, *, whole: bool = False) -> Translator:
    """A reduction over some axes, or all. `whole`: ONNX has it for integers too; others are computed as floats."""

    def translate(call: Call) -> str:
        x, as_float = call.tensor("x"), not whole and not call.is_float("x")
        inputs = [call.cast(x, "float32") if as_float else x]
        if call.given("axes"):
            inputs.append(call.shape_constant(call.numbers("axes")))
        reduced = call.add(operator, *inputs, keepdims=int(call.number("keep_dims", False)))
        return call.cast(reduced, "int32") if as_float else reduced

    return translate


def _place(operator: str) -> Translator:
    """Where along an axis the extreme is; the first where there are several."""

    def translate(call: Call) -> str:
        keep = int(call.number("keep_dims", False))
        return call.cast(call.add(operator, call.tensor("x"), axis=call.axis("axis", "x", -1), keepdims=keep), "int32")

    return translate


REDUCTIONS: Table = {
    "reduce_sum": _reduce("ReduceSum", whole=True),
    "reduce_max": _reduce("ReduceMax", whole=True),
    "reduce_min": _reduce("ReduceMin", whole=True),
    "reduce_prod": _reduce("ReduceProd", whole=True),
    "reduce_mean": _reduce("ReduceMean"),
    "reduce_l1_norm": _reduce("ReduceL1"),
    "reduce_l2_norm": _reduce("ReduceL2"),
    "reduce_log_sum": _reduce("ReduceLogSum"),
    "reduce_log_sum_exp": _reduce("ReduceLogSumExp"),
    "reduce_sum_square": _reduce("ReduceSumSquare"),
    "reduce_argmax": _place("ArgMax"),
    "reduce_argmin": _place("ArgMin"),
}
