"""Operators that work on each number by itself: arithmetic, comparison, logic, activations, activation quantization.

Formulas: https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html.
"""

from __future__ import annotations

import math

import numpy as np

from targets.core_ml.reference.graph import Call, Table, Translator, working_dtype

#: The program's narrow integers, which wrap around where a number does not fit.
_NARROW = {"int8", "uint8", "int16", "uint16"}
_CASTS = {"fp16": "float32", "fp32": "float32", "fp64": "float32", "bool": "bool", "int32": "int32", "int64": "int32"}


def _unary(operator: str) -> Translator:
    return lambda call: call.add(operator, call.tensor("x"))


def _of_float(operator: str) -> Translator:
    """An operator of floats that ML programs have for integers too: computed as floats, and cut off."""

    def translate(call: Call) -> str:
        if call.is_float("x"):
            return call.add(operator, call.tensor("x"))
        return call.cast(call.add(operator, call.cast(call.tensor("x"), "float32")), "int32")

    return translate


def pair(call: Call, x: str = "x", y: str = "y") -> tuple[str, str]:
    """Two inputs in one type: a float and an integer are both floats."""
    dtypes = {working_dtype(call.type(name).dtype) for name in (x, y)}
    if len(dtypes) == 1:
        return call.tensor(x), call.tensor(y)
    dtype = "float32" if "float32" in dtypes else "int32"
    return call.cast(call.tensor(x), dtype), call.cast(call.tensor(y), dtype)


def _binary(operator: str) -> Translator:
    return lambda call: call.add(operator, *pair(call))


def _not_equal(call: Call) -> str:
    return call.add("Not", call.add("Equal", *pair(call)))


def _whole_pair(call: Call) -> tuple[str, str]:
    """Two integers, of which the second divides. By zero is not defined, and would end the process: it becomes one."""
    x, y = pair(call)
    divisor = call.known("y")
    if divisor is not None and divisor.all():
        return x, y
    by_zero = call.add("Equal", y, call.graph.constant(0, "int32"))
    return x, call.add("Where", by_zero, call.graph.constant(1, "int32"), y)


def _divide(call: Call) -> str:
    """Integers are rounded towards zero."""
    return call.add("Div", *(pair(call) if call.output_dtype() == "float32" else _whole_pair(call)))


def _floor_divide(call: Call) -> str:
    if call.output_dtype() == "float32":
        return call.add("Floor", call.add("Div", *pair(call)))
    x, y = _whole_pair(call)
    # ONNX rounds towards zero. What is left over has the sign of x, and another than that of y where it rounded up.
    quotient = call.add("Div", x, y)
    rest = call.add("Sub", x, call.add("Mul", quotient, y))
    zero = call.graph.constant(0, "int32")
    signs_differ = call.add("Xor", call.add("Less", rest, zero), call.add("Less", y, zero))
    too_high = call.add("And", signs_differ, call.add("Not", call.add("Equal", rest, zero)))
    return call.add("Sub", quotient, call.cast(too_high, "int32"))


def _modulo(call: Call) -> str:
    """The rest has the sign of the divisor, as in Python."""
    if call.output_dtype() != "float32":
        return call.add("Mod", *_whole_pair(call))
    x, y = pair(call)
    rest, zero = call.add("Mod", x, y, fmod=1), call.graph.constant(0, "float32")
    signs_differ = call.add("Xor", call.add("Less", rest, zero), call.add("Less", y, zero))
    other = call.add("And", signs_differ, call.add("Not", call.add("Equal", rest, zero)))
    return call.add("Where", other, call.add("Add", rest, y), rest)


def _with_epsilon(call: Call, default: float) -> str:
    epsilon = call.number("epsilon", default)
    return call.add("Add", call.tensor("x"), call.scalar(epsilon)) if epsilon else call.tensor("x")


def _rsqrt(call: Call) -> str:
    return call.add("Reciprocal", call.add("Sqrt", _with_epsilon(call, 1e-12)))


def _exp2(call: Call) -> str:
    power = call.add("Pow", call.graph.constant(2, "float32"), call.cast(call.tensor("x"), "float32"))
    return power if call.is_float("x") else call.cast(power, "int32")


def _square(call: Call) -> str:
    return call.add("Mul", call.tensor("x"), call.tensor("x"))


def _clip(call: Call) -> str:
    return call.add("Clip", call.tensor("x"), call.scalar(call.number("alpha")), call.scalar(call.number("beta")))


def _cast(call: Call) -> str:
    """Between floats nothing is done: all of them are float32 here."""
    dtype = call.text("dtype")
    if dtype in _NARROW:
        source = call.tensor("x")
        whole = source if working_dtype(call.type("x").dtype) == "int32" else call.cast(source, "int32")
        return call.cast(call.cast(whole, dtype), "int32")
    if dtype not in _CASTS:
        raise call.refuse(f"to {dtype}")
    if working_dtype(call.type("x").dtype) == _CASTS[dtype]:
        return call.tensor("x")
    return call.cast(call.tensor("x"), _CASTS[dtype])


def _select(call: Call) -> str:
    """Numbers of `a` where the condition is true and of `b` elsewhere; conditions of ONNX are bool and nothing else."""
    condition = call.cast(call.tensor("cond"), "bool")
    a, b = pair(call, "a", "b")
    if call.output_dtype() != "bool":
        return call.add("Where", condition, a, b)
    return call.cast(call.add("Where", condition, call.cast(a, "int32"), call.cast(b, "int32")), "bool")


def _channels(call: Call, name: str) -> str:
    """A number for each channel, the second dimension, or one for all; shaped to be broadcast."""
    values = call.constant(name).astype(np.float32).reshape(-1)
    return call.graph.constant(values.reshape(-1, *[1] * (call.rank("x") - 2)))


def _clamped_relu(call: Call) -> str:
    leaky = call.add("LeakyRelu", call.tensor("x"), alpha=call.number("alpha"))
    return call.add("Min", leaky, call.scalar(call.number("beta")))


def _gelu(call: Call) -> str:
    x, mode = call.tensor("x"), call.text("mode", "EXACT")
    one, half = call.scalar(1.0), call.scalar(0.5)
    if mode == "SIGMOID_APPROXIMATION":
        return call.add("Mul", x, call.add("Sigmoid", call.add("Mul", x, call.scalar(1.702))))
    if mode == "TANH_APPROXIMATION":
        cubic = call.add("Mul", call.scalar(0.044715), call.add("Mul", call.add("Mul", x, x), x))
        bend = call.add("Tanh", call.add("Mul", call.scalar(math.sqrt(2 / math.pi)), call.add("Add", x, cubic)))
    elif mode == "EXACT":
        bend = call.add("Erf", call.add("Div", x, call.scalar(math.sqrt(2))))
    else:
        raise call.refuse(f"mode {mode}")
    return call.add("Mul", call.add("Mul", half, x), call.add("Add", one, bend))


def _linear_activation(call: Call) -> str:
    scaled = call.add("Mul", call.tensor("x"), call.scalar(call.number("alpha")))
    return call.add("Add", scaled, call.scalar(call.number("beta")))


def _scaled_tanh(call: Call) -> str:
    bend = call.add("Tanh", call.add("Mul", call.tensor("x"), call.scalar(call.number("beta"))))
    return call.add("Mul", call.scalar(call.number("alpha")), bend)


def _softplus_parametric(call: Call) -> str:
    bend = call.add("Softplus", call.add("Mul", call.tensor("x"), _channels(call, "beta")))
    return call.add("Mul", _channels(call, "alpha"), bend)


def _thresholded_relu(call: Call) -> str:
    x = call.tensor("x")
    above = call.add("GreaterOrEqual", x, call.scalar(call.number("alpha")))
    return call.add("Where", above, x, call.scalar(0.0))


def _scale_and_zero_point(call: Call) -> tuple[str, str]:
    """Shaped to be broadcast along the axis that they are for."""
    shape = [1] * call.rank("input")
    if call.given("axis"):
        shape[call.axis("axis", "input")] = -1
    scale = call.constant("scale").astype(np.float32)
    zero_point = call.constant("zero_point") if call.given("zero_point") else np.zeros((), np.int32)
    return (
        call.graph.constant(scale.reshape(shape if scale.ndim else ())),
        call.graph.constant(zero_point.astype(np.float32).reshape(shape if zero_point.ndim else ())),
    )


def _quantize(call: Call) -> str:
    """clip(round(input / scale) + zero_point), halves rounded to even."""
    scale, zero_point = _scale_and_zero_point(call)
    limits = np.iinfo(call.text("output_dtype"))
    steps = call.add("Add", call.add("Round", call.add("Div", call.tensor("input"), scale)), zero_point)
    low, high = (call.graph.constant(limit, "float32") for limit in (limits.min, limits.max))
    return call.cast(call.add("Clip", steps, low, high), "int32")


def _dequantize(call: Call) -> str:
    """scale * (input - zero_point)."""
    scale, zero_point = _scale_and_zero_point(call)
    return call.add("Mul", scale, call.add("Sub", call.cast(call.tensor("input"), "float32"), zero_point))


ARITHMETIC: Table = {
    "abs": _unary("Abs"),
    "acos": _unary("Acos"),
    "asin": _unary("Asin"),
    "atan": _unary("Atan"),
    "atanh": _unary("Atanh"),
    "ceil": _unary("Ceil"),
    "cos": _unary("Cos"),
    "cosh": _unary("Cosh"),
    "erf": _unary("Erf"),
    "exp": _of_float("Exp"),
    "exp2": _exp2,
    "floor": _unary("Floor"),
    "identity": _unary("Identity"),
    "inverse": lambda call: call.add("Reciprocal", _with_epsilon(call, 1e-4)),
    "log": lambda call: call.add("Log", _with_epsilon(call, 1e-45)),
    "logical_not": _unary("Not"),
    "round": _unary("Round"),
    "rsqrt": _rsqrt,
    "sign": _unary("Sign"),
    "sin": _unary("Sin"),
    "sinh": _unary("Sinh"),
    "sqrt": _unary("Sqrt"),
    "square": _square,
    "tan": _unary("Tan"),
    "tanh": _unary("Tanh"),
    "threshold": lambda call: call.add("Max", call.tensor("x"), call.scalar(call.number("alpha"))),
    "clip": _clip,
    "cast": _cast,
    "add": _binary("Add"),
    "sub": _binary("Sub"),
    "mul": _binary("Mul"),
    "real_div": _divide,
    "floor_div": _floor_divide,
    "mod": _modulo,
    "pow": _binary("Pow"),
    "maximum": _binary("Max"),
    "minimum": _binary("Min"),
    "equal": _binary("Equal"),
    "not_equal": _not_equal,
    "greater": _binary("Greater"),
    "greater_equal": _binary("GreaterOrEqual"),
    "less": _binary("Less"),
    "less_equal": _binary("LessOrEqual"),
    "logical_and": _binary("And"),
    "logical_or": _binary("Or"),
    "logical_xor": _binary("Xor"),
    "select": _select,
    "relu": _unary("Relu"),
    "relu6": lambda call: call.add("Clip", call.tensor("x"), call.scalar(0.0), call.scalar(6.0)),
    "leaky_relu": lambda call: call.add("LeakyRelu", call.tensor("x"), alpha=call.number("alpha")),
    "clamped_relu": _clamped_relu,
    "prelu": lambda call: call.add("PRelu", call.tensor("x"), _channels(call, "alpha")),
    "elu": lambda call: call.add("Elu", call.tensor("x"), alpha=call.number("alpha")),
    "gelu": _gelu,
    "silu": lambda call: call.add("Mul", call.tensor("x"), call.add("Sigmoid", call.tensor("x"))),
    "sigmoid": _unary("Sigmoid"),
    "sigmoid_hard": lambda call: call.add(
        "HardSigmoid", call.tensor("x"), alpha=call.number("alpha"), beta=call.number("beta")
    ),
    "softplus": _unary("Softplus"),
    "softplus_parametric": _softplus_parametric,
    "softsign": _unary("Softsign"),
    "scaled_tanh": _scaled_tanh,
    "thresholded_relu": _thresholded_relu,
    "linear_activation": _linear_activation,
    "quantize": _quantize,
    "dequantize": _dequantize,
}
