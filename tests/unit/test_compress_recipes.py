"""The registry of recipes, and what --to may say."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from benchharness.compress.choosing import choose
from benchharness.compress.recipes import CORE_ML, FORMATS, ONNX, RECIPES, TFLITE, plain
from benchharness.errors import UsageError


def names(to: str, format_: str = ONNX, *, calibrated: bool = False) -> list[str]:
    return [recipe.name for recipe in choose(to.split(","), format_, calibrated=calibrated)[0]]


def test_every_recipe_is_known_by_its_own_name_and_of_a_known_format() -> None:
    assert all(name == recipe.name and recipe.format in FORMATS for name, recipe in RECIPES.items())
    assert all(recipe.description and recipe.settings for recipe in RECIPES.values())
    assert all(recipe.deterministic or recipe.why_not_deterministic for recipe in RECIPES.values())


def test_nothing_in_the_registry_can_be_changed() -> None:
    recipe = RECIPES["tflite-int8-dynamic"]
    with pytest.raises(FrozenInstanceError):
        setattr(recipe, "name", "other")  # noqa: B010 - mypy would refuse the assignment
    settings: Any = recipe.settings
    recipes: Any = RECIPES
    for mapping in (settings, settings["rules"][0], settings["rules"][0]["op_config"], recipes):
        with pytest.raises(TypeError):
            mapping["mine"] = recipe


def test_settings_are_plain_json_in_a_copy_of_their_own() -> None:
    recipe = RECIPES["tflite-int8-static"]
    settings = plain(recipe.settings)
    settings["rules"].clear()
    assert len(recipe.settings["rules"]) == 3
    assert json.loads(json.dumps(plain(recipe.settings))) == plain(recipe.settings)


@pytest.mark.parametrize("format_", FORMATS)
def test_a_precision_means_one_recipe_of_a_format(format_: str) -> None:
    meant = [recipe.precision for recipe in RECIPES.values() if recipe.format == format_ and recipe.default]
    assert len(set(meant)) == len(meant)
    assert {"int8", "int4"} <= set(meant)


def test_precisions_and_names_can_be_mixed_and_count_once() -> None:
    assert names("int8,onnx-int8-dynamic,int4") == ["onnx-int8-dynamic", "onnx-int4-block32"]
    assert names("int8", TFLITE) == ["tflite-int8-dynamic"]
    assert names("fp16") == ["onnx-fp16"]


def test_all_leaves_out_what_needs_data_unless_there_is_some() -> None:
    chosen, left_out = choose(["all"], ONNX, calibrated=False)
    assert [recipe.name for recipe in left_out] == [
        "onnx-int8-static",
        "onnx-int8-static-entropy",
        "onnx-int8-static-percentile",
    ]
    assert len(chosen) + len(left_out) == len(names("all", calibrated=True))


@pytest.mark.parametrize(
    ("to", "format_", "words"),
    [
        ("onnx-int8-dynamc", ONNX, "did you mean 'onnx-int8-dynamic'?"),
        ("int9", ONNX, "did you mean 'int8'?"),
        ("quux", ONNX, "for .onnx there are: int8, int4, fp16, all, onnx-int8-dynamic"),
        ("tflite-int8-dynamic", ONNX, "makes .tflite models, and this is .onnx"),
        ("onnx-int8-static", ONNX, "needs calibration data; give it with --calibrate"),
        ("fp16", CORE_ML, "compute_precision=coremltools.precision.FLOAT16"),
    ],
)
def test_what_cannot_be_chosen_is_told_with_what_can(to: str, format_: str, words: str) -> None:
    with pytest.raises(UsageError) as told:
        names(to, format_)
    assert words in str(told.value)


def test_data_that_nothing_uses_is_refused() -> None:
    with pytest.raises(UsageError, match=r"\(int8 is onnx-int8-dynamic\); add --to onnx-int8-static"):
        names("int8", calibrated=True)
    with pytest.raises(UsageError, match="no recipe of it needs any"):
        names("int8", CORE_ML, calibrated=True)


def test_nothing_asked_for_is_told() -> None:
    with pytest.raises(UsageError, match="such as --to int8,int4,fp16"):
        choose([], ONNX, calibrated=False)


def test_the_library_loads_no_tool_in_the_process_that_asks() -> None:
    code = "import sys, benchharness.compress; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    tools = {"onnx", "onnxruntime", "ai_edge_litert", "ai_edge_quantizer", "coremltools", "sklearn", "targets", "numpy"}
    assert tools & {name.partition(".")[0] for name in loaded} == set()
