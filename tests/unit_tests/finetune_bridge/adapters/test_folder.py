"""Hostile and damaged folders: each is refused with its reason, before anything is loaded."""

import json
import os
import shutil
import struct

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from langchain_graft.errors import AdapterError, AdapterRefusedError
from langchain_graft.finetune_bridge.adapters import lora_weights
from langchain_graft.finetune_bridge.adapters.folder import CONFIG, WEIGHTS, check_folder, sha256_of
from langchain_graft.finetune_bridge.adapters.lora_weights import read_lora

Q = "base_model.model.model.layers.0.self_attn.q_proj"


@pytest.fixture(scope="module")
def good(make_adapter):
    return make_adapter(target_modules=["q_proj"])


@pytest.fixture
def folder(good, tmp_path):
    return shutil.copytree(good, tmp_path / "adapter")


def configure(folder, **changes):
    values = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**values, **changes}))


def change_weights(folder, **changes):
    """Other tensors, by name; None: without it."""
    tensors = {**load_file(folder / WEIGHTS), **changes}
    save_file({k: v for k, v in tensors.items() if v is not None}, folder / WEIGHTS)


def write_raw(folder, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text + data)


def change_header(folder, change):
    """The header changed by a function, the data as they are."""
    data = (folder / WEIGHTS).read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    change(header)
    write_raw(folder, header, data[8 + length :])


def is_refused(folder, reason):
    with pytest.raises(AdapterRefusedError, match=reason):
        check_folder(folder)
    with pytest.raises(AdapterRefusedError, match=reason):
        read_lora(folder, expected=None)


def test_a_good_folder_is_looked_through(good, folder):
    (folder / "manifest.json").write_text("{}")
    (folder / "LICENSE").write_text("free")
    checked = check_folder(folder)
    assert checked.layers.keys() == {f"model.layers.{n}.self_attn.q_proj" for n in (0, 1)}
    assert checked.size_bytes == (good / WEIGHTS).stat().st_size
    assert checked.config.r == 8


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("adapter_model.bin", "may run code"),
        ("optimizer.pt", "may run code"),
        ("training_args.PKL", "may run code"),
        ("modeling.py", "may run code"),
        ("tokenizer.json", "come from the base only"),
        ("tokenizer_config.json", "come from the base only"),
        ("chat_template.jinja", "come from the base only"),
        ("special_tokens_map.json", "come from the base only"),
        ("vocab.txt", "come from the base only"),
        ("config.json", "an adapter has"),
        ("model-00001-of-00002.safetensors", "an adapter has"),
        (".hidden", "an adapter has"),
    ],
)
def test_files_that_are_no_adapters(folder, name, reason):
    (folder / name).write_bytes(b"\x80\x04.")
    is_refused(folder, reason)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_part_that_is_missing_or_a_link_or_a_pipe(folder, name, tmp_path):
    (folder / name).rename(tmp_path / "elsewhere")
    is_refused(folder, f"has no '{name}'")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    is_refused(folder, "it is a link")
    (folder / name).unlink()
    os.mkfifo(folder / name)
    is_refused(folder, "pipe")
    (folder / name).unlink()
    (folder / name).mkdir()
    is_refused(folder, "folder")


def test_links_and_folders_beside(folder, tmp_path):
    (tmp_path / "linked").symlink_to(folder)
    is_refused(tmp_path / "linked", "a link to one")
    is_refused(tmp_path / "nowhere", "it is no folder")
    is_refused(folder / CONFIG, "it is no folder")
    (folder / "README.md").unlink()
    (folder / "README.md").symlink_to("/etc/passwd")
    is_refused(folder, "it is a link")
    (folder / "README.md").unlink()
    (folder / "checkpoint-10").mkdir()
    is_refused(folder, "folder, pipe or device")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"peft_type": "IA3"}, "only 'LORA' is served"),
        ({"peft_type": None}, "only 'LORA' is served"),
        ({"use_dora": True}, "DoRA"),
        ({"bias": "all"}, "its bias is 'all'"),
        ({"modules_to_save": ["lm_head"]}, "whole copies"),
        ({"trainable_token_indices": [1]}, "vocabulary"),
        ({"layer_replication": [[0, 1]]}, "changes the base's layers"),
        ({"auto_mapping": {"base_model_class": "os.system"}}, "never run"),
        ({"auto_map": {"AutoModel": "evil--code.Model"}}, "never run"),
        ({"arrow_config": {"top_k": 2}}, "not known here"),
        ({"surprise": "!"}, "not known here"),
        ({"init_lora_weights": "pissa_niter_4"}, "changes the base"),
        ({"r": 100_000}, "rank from 1 to 512"),
        ({"r": 0}, "rank from 1 to 512"),
        ({"r": True}, "rank from 1 to 512"),
        ({"r": "8"}, "rank from 1 to 512"),
        ({"r": 4}, "configuration says rank 4"),
        ({"rank_pattern": {"q_proj": 10**9}}, "rank from 1 to 512"),
        ({"rank_pattern": {"(a+)+$": 8}}, "a layer's name"),
        ({"rank_pattern": ["q_proj"]}, "values by layer"),
        ({"rank_pattern": {f"^a{n}": 8 for n in range(100)}}, "more than 64"),
        ({"lora_alpha": 1e300}, "a number above 0"),
        ({"lora_alpha": -1}, "a number above 0"),
        ({"lora_alpha": 10**400}, "a number above 0"),
        ({"alpha_pattern": {"q_proj": None}}, "a number above 0"),
        ({"use_rslora": 1}, "true or false"),
        ({"target_modules": [1]}, "expected names"),
        ({"target_modules": ["v_proj"]}, "none of its target_modules"),
    ],
    ids=str,
)
def test_configurations_that_are_not_served(folder, changes, reason):
    configure(folder, **changes)
    is_refused(folder, reason)


def test_what_a_newer_peft_leaves_empty_changes_nothing(folder):
    configure(folder, new_method_config=None, use_new_method=False, more=[])
    assert check_folder(folder)


def test_the_base_that_it_names_is_told_and_never_followed(folder):
    configure(folder, base_model_name_or_path="/etc/passwd", revision="evil")
    assert check_folder(folder).config.base_model_name_or_path == "/etc/passwd"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{" * 100_000, "can not be read"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("[" * 1_000_000, "nested too deeply"),
        ('{"r": 8, "r": 512}', "stands twice"),
        ('{"peft_type": "LORA", "lora_alpha": Infinity}', "no number"),
        ('{"peft_type": "LORA", "r": ' + "9" * 5000 + "}", "can not be read"),
        ("[]", "no JSON object"),
        ("", "can not be read"),
        ("{}" + " " * (9 << 20), "at most"),
    ],
    ids=lambda text: text[:20],
)
def test_hostile_json(folder, text, reason):
    (folder / CONFIG).write_text(text)
    is_refused(folder, reason)


def header_of(name=f"{Q}.lora_A.weight", **changes):
    return {name: {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4], **changes}}


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (header_of(shape=[1]), "two sizes"),
        (header_of(shape=[1, 1, 1]), "two sizes"),
        (header_of(shape=[0, 1], data_offsets=[0, 0]), "two sizes"),
        (header_of(shape=[-1, -1]), "two sizes"),
        (header_of(shape=[True, 1]), "two sizes"),
        (header_of(shape=[2**40, 2**40]), "can not lie"),
        (header_of(data_offsets=[4, 0]), "can not lie"),
        (header_of(data_offsets=[-4, 0]), "can not lie"),
        (header_of(data_offsets=[0, 4, 8]), "expected dtype, shape"),
        (header_of(data_offsets=[4, 8]), "overlap or gap"),
        (header_of(dtype="F64", data_offsets=[0, 8]), "type 'F64'"),
        (header_of(dtype="I8", data_offsets=[0, 1]), "type 'I8'"),
        (header_of(dtype=["F32"]), "expected dtype, shape"),
        (header_of(more=1), "not known"),
        ({**header_of(), "__metadata__": {"a": {}}}, "__metadata__"),
        ({**header_of(), "__metadata__": []}, "__metadata__"),
        ({}, "it is cut or forged"),
        (b"", "can not be read"),
        (b"not json", "can not be read"),
        (b'{"a": {}, "a": {}}', "stands twice"),
        (b"[" * 100_000, "nested too deeply"),
    ],
    ids=str,
)
def test_hostile_headers(folder, header, reason):
    write_raw(folder, header, bytes(4))
    is_refused(folder, reason)


@pytest.mark.parametrize("claim", [10 << 30, 2**64 - 1, 100 << 20])
def test_a_header_that_claims_to_be_huge(folder, claim):
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", claim) + data[8:])
    is_refused(folder, f"claims {claim} bytes, the file has")


def test_a_huge_header_that_is_there(folder):
    with (folder / WEIGHTS).open("wb") as file:  # sparse: nothing of it is on the disk
        file.write(struct.pack("<Q", 3 << 30))
        file.truncate(4 << 30)
    is_refused(folder, "at most 16777216 are read")
    with (folder / WEIGHTS).open("r+b") as file:
        file.truncate((4 << 30) + 1)
    is_refused(folder, "at most 4294967296 are read")


@pytest.mark.parametrize("length", [0, 7, 8, 50, -1])
def test_a_file_that_is_cut(folder, length):
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[:length])
    is_refused(folder, "cut or forged")


def test_matrices_over_one_another_or_beyond_the_end(folder):
    def overlapping(header):
        names = [name for name in header if name != "__metadata__"]
        for name in names:
            if header[name]["shape"] == header[names[0]]["shape"]:
                header[name]["data_offsets"] = header[names[0]]["data_offsets"]

    change_header(folder, overlapping)
    is_refused(folder, "overlap or gap")


def test_bytes_behind_the_matrices(folder):
    with (folder / WEIGHTS).open("ab") as file:
        file.write(b"MZ payload")
    is_refused(folder, "cut or forged")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (f"{Q}.lora_B.weight", "has no lora_B"),
        (f"{Q}.lora_A.weight", "has no lora_A"),
    ],
)
def test_half_a_pair(folder, name, reason):
    change_weights(folder, **{name: None})
    is_refused(folder, reason)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("base_model.model.lm_head.weight", "expected names as"),
        ("base_model.model.lm_head.base_layer.weight", "save_embedding_layers=False"),
        (f"{Q}.lora_magnitude_vector.weight", "DoRA"),
        (f"{Q}.lora_embedding_C", "expected names as"),
        (f"{Q}.lora_B.bias", "biases are not served"),
        ("base_model.model.../../etc.lora_A.weight", "expected names as"),
        ("../../q_proj.lora_A.weight", "expected names as"),
        ("a..q_proj.lora_A.weight", "expected names as"),
        ("/q_proj.lora_A.weight", "expected names as"),
        ("q_proj\n.lora_A.weight", "expected names as"),
        ("q\u0440oj.lora_A.weight", "expected names as"),
        ("model.layers.0.self_attn.q_proj.lora_A.weight", "lora_A twice"),
        ("other.q_proj.lora_A.weight", "has no lora_B"),
    ],
)
def test_names_that_are_no_layers(folder, name, reason):
    change_weights(folder, **{name: torch.zeros(8, 32)})
    is_refused(folder, reason)


@pytest.mark.parametrize("shape", [(4, 32), (512, 32), (9, 32)])
def test_another_rank_than_the_configurations(folder, shape):
    change_weights(folder, **{f"{Q}.lora_A.weight": torch.zeros(shape)})
    is_refused(folder, "configuration says rank 8")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 7e4])
@pytest.mark.parametrize("part", ["A", "B"])
def test_numbers_that_are_none_or_too_large(folder, value, part):
    name = f"{Q}.lora_{part}.weight"
    tensor = load_file(folder / WEIGHTS)[name]
    tensor[3, 3] = value
    change_weights(folder, **{name: tensor})
    with pytest.raises(AdapterRefusedError, match="not finite"):
        read_lora(folder, expected=None)


def test_a_scaling_that_16_bit_numbers_do_not_hold(folder):
    stored = load_file(folder / WEIGHTS)
    halves = {
        name: torch.full(one.shape, 10.0, dtype=torch.float16) for name, one in stored.items()
    }
    change_weights(folder, **halves)
    configure(folder, lora_alpha=1e6)
    with pytest.raises(AdapterRefusedError, match=r"scaling 125000 above 65504"):
        read_lora(folder, expected=None)


def test_other_bytes_than_the_looked_at_ones_are_not_read(folder, monkeypatch):
    """The file is replaced between the look and the reading."""

    def then_swapped(place, **options):
        checked = check_folder(place, **options)
        change_weights(folder, **{f"{Q}.lora_A.weight": torch.zeros(8, 64)})
        return checked

    monkeypatch.setattr(lora_weights, "check_folder", then_swapped)
    with pytest.raises(AdapterRefusedError, match="changed while it was read"):
        read_lora(folder, expected=None)


changes = st.lists(
    st.tuples(
        st.sampled_from([CONFIG, WEIGHTS]),
        st.sampled_from(["flip", "cut", "insert"]),
        st.integers(0, 1 << 16),
        st.integers(1, 255),
    ),
    min_size=1,
    max_size=4,
)


@given(changes)
@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_damaged_bytes_load_equal_or_are_refused(good, tmp_path_factory, damage):
    contents = {name: (good / name).read_bytes() for name in (CONFIG, WEIGHTS)}
    promised = {name: sha256_of(data) for name, data in contents.items()}
    for name, how, place, value in damage:
        data = bytearray(contents[name])
        at = place % (min(len(data), 2000) or 1)  # the header and its neighbourhood
        if how == "flip" and data:
            data[at] ^= value
        elif how == "cut":
            del data[at:]
        else:
            data[at:at] = bytes([value])
        contents[name] = bytes(data)
    folder = tmp_path_factory.mktemp("damaged")
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    same = {name: sha256_of(data) for name, data in contents.items()} == promised
    for expected in (promised, None):
        try:
            pairs = read_lora(folder, expected=expected)
        except AdapterError:
            assert not same
        else:
            assert same or expected is None
            assert all(torch.isfinite(pair.b).all() for pair in pairs.values())
    shutil.rmtree(folder)
