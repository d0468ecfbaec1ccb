"""The nodes of ComfyUI, on a stand-in of its V3 API."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

ROOT = Path(__file__).parents[2] / "integrations" / "comfyui"


class Part:
    """An input or an output."""

    def __init__(self, kind, id=None, **options):
        self.kind, self.id, self.options = kind, id, options


def kind_of(name):
    class Input(Part):
        def __init__(self, id, **options):
            super().__init__(name, id, **options)

    class Output(Part):
        def __init__(self, id=None, **options):
            super().__init__(name, id, **options)

    return SimpleNamespace(Input=Input, Output=Output, name=name)


class Bar:
    shown: list = []  # noqa: RUF012

    def __init__(self, total):
        self.total = total

    def update_absolute(self, value):
        self.shown.append((value, self.total))


@pytest.fixture(scope="module")
def nodes():
    io = SimpleNamespace(
        ComfyNode=type("ComfyNode", (), {}),
        Schema=lambda **fields: SimpleNamespace(**fields),
        NodeOutput=lambda *values: values,
        Custom=kind_of,
        **{name: kind_of(name.upper()) for name in ("Image", "Mask", "Int", "Float", "String", "Boolean")},
        Combo=kind_of("COMBO"),
    )
    modules = {name: ModuleType(name) for name in ("comfy", "comfy.utils", "comfy_api", "comfy_api.latest")}
    modules["comfy"].utils = modules["comfy.utils"]
    modules["comfy.utils"].ProgressBar = Bar
    modules["comfy_api.latest"].io = io
    modules["comfy_api.latest"].ComfyExtension = type("ComfyExtension", (), {})
    with pytest.MonkeyPatch.context() as patch:
        for name, module in modules.items():
            patch.setitem(sys.modules, name, module)
        spec = importlib.util.spec_from_file_location(
            "lumiere_comfyui", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
        )
        package = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, spec.name, package)
        spec.loader.exec_module(package)
        extension = asyncio.run(package.comfy_entrypoint())
        listed = asyncio.run(extension.get_node_list())
        yield {node.define_schema().node_id.removeprefix("Lumiere"): node for node in listed}


@pytest.fixture(scope="module")
def model(make_pipe):
    return make_pipe(conditioned=True)


@pytest.fixture
def images():
    return torch.rand(3, 32, 32, 3, generator=torch.Generator().manual_seed(0))


SAMPLING = {"seed": 5, "steps": 2, "guidance": 0.0, "negative_prompt": ""}


def check_images(images, shape):
    assert images.shape == shape and images.dtype == torch.float32
    assert images.min() >= 0 and images.max() <= 1


def test_schemas_name_what_execute_takes(nodes):
    assert set(nodes) == {"LoadModel", "Generate", "Condition", "Edit", "LoadStyle", "Upscale", "XTSlice"}
    for node in nodes.values():
        schema = node.define_schema()
        parameters = inspect.signature(node.execute).parameters
        optional = {each.id for each in schema.inputs if each.options.get("optional")}
        assert {each.id for each in schema.inputs} == set(parameters)
        assert optional == {name for name, each in parameters.items() if each.default is None}
        assert schema.category == "lumiere" and schema.outputs


def test_the_example_fits_the_schemas(nodes):
    graph = json.loads((ROOT / "workflow.json").read_text())
    types = {name: [each.kind for each in node.define_schema().outputs] for name, node in nodes.items()}
    ours = 0
    for each in graph.values():
        node = nodes.get(each["class_type"].removeprefix("Lumiere"))
        if node is None:
            continue
        ours += 1
        inputs = {part.id: part for part in node.define_schema().inputs}
        assert set(each["inputs"]) <= set(inputs)
        assert set(inputs) - set(each["inputs"]) == {
            name for name, part in inputs.items() if part.options.get("optional")
        }
        for name, value in each["inputs"].items():
            if isinstance(value, list):
                source = types[graph[value[0]]["class_type"].removeprefix("Lumiere")]
                assert source[value[1]] == inputs[name].kind
    assert ours == 3


def test_load_and_generate(nodes, tiny_bundle):
    (model,) = nodes["LoadModel"].execute(str(tiny_bundle), "float32", "cpu")
    Bar.shown.clear()
    images, fps = nodes["Generate"].execute(model, "a cat", 3, False, **SAMPLING)
    check_images(images, (3, 32, 32, 3))
    assert fps == model.config["fps"] and Bar.shown == [(1, 2), (2, 2)]
    same, _ = nodes["Generate"].execute(model, "a cat", 3, False, **SAMPLING)
    assert torch.equal(images, same)
    assert torch.equal(
        images, torch.from_numpy(model("a cat", num_frames=3, seed=5, num_inference_steps=2).frames) / 255
    )


def test_conditions_keep_what_they_know(nodes, model, images):
    mask = torch.zeros(1, 32, 32)
    mask[:, 8:24, 8:24] = 1
    for kind in ("first frame", "cinemagraph", "inpaint", "continue"):
        (condition,) = nodes["Condition"].execute(kind, images, mask)
        made, _ = nodes["Generate"].execute(model, "a cat", 3, False, condition=condition, **SAMPLING)
        known = made[0, :8] - images[0, :8]
        assert known.abs().max() < 0.003, kind
    with pytest.raises(ValueError, match="inpaint needs a mask"):
        nodes["Condition"].execute("inpaint", images)
    assert nodes["Condition"].validate_inputs("first frame") is True
    assert "'none'" in nodes["Condition"].validate_inputs("none")


def test_edit_upscale_and_slice(nodes, model, images, make_upscaler, tmp_path):
    edited, _ = nodes["Edit"].execute(model, images, "a dog", 0.5, **SAMPLING)
    check_images(edited, (3, 32, 32, 3))
    make_upscaler().save_pretrained(tmp_path / "upscaler")
    (large,) = nodes["Upscale"].execute(images, 64, str(tmp_path / "upscaler"), "cpu")
    check_images(large, (3, 64, 64, 3))
    (cut,) = nodes["XTSlice"].execute(images, 4)
    assert torch.allclose(cut[0], images[:, 4], atol=0.003)
    (middle,) = nodes["XTSlice"].execute(images, -1)
    assert torch.allclose(middle[0], images[:, 16], atol=0.003)
