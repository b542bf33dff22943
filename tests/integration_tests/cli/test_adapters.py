"""`graft adapters`, `ask --adapter`, `promote`, `rollback`, with an adapter that PEFT made."""

import shutil
import warnings

import pytest

BASE = "hf:smollm2-135m"
ASKED = ("ask", "Who founded Apple in April 1976?", "--kb", "kb", "-k", 1)


@pytest.fixture(scope="module")
def peft_folder(tmp_path_factory):
    """A LoRA of smollm2-135m that changes what it answers, as PEFT saves it."""
    import torch  # noqa: PLC0415
    from peft import LoraConfig, get_peft_model  # noqa: PLC0415

    from langchain_graft.models.transformers_weights import (  # noqa: PLC0415
        find_weights,
        load_weights,
    )

    model, _, _ = load_weights(find_weights("smollm2-135m"), device="cpu", dtype=torch.float32)
    torch.manual_seed(1)
    config = LoraConfig(
        r=4,
        lora_alpha=64,
        target_modules=["o_proj"],
        init_lora_weights=False,
        task_type="CAUSAL_LM",
    )
    folder = tmp_path_factory.mktemp("peft") / "lora"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT's, of a model that came from no folder
        get_peft_model(model, config).save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    return folder


@pytest.fixture
def mine(graft, filled):
    """The command in a folder with a knowledge base of its own."""
    shutil.copytree(filled.folder / "kb", graft.folder / "kb")
    return graft


def test_an_adapter_is_imported_asked_promoted_and_gone_back_from(mine, peft_folder):
    taken = ("adapters", "import", peft_folder, "legal", "--base", BASE, "--kb", "kb")
    assert mine.json(*taken) == {"imported": "legal@000001"}
    shown = mine.json("adapters", "show", "legal@000001", "--kb", "kb")
    assert (shown["kind"], shown["base"]) == ("generator", BASE)

    plain = mine.json(*ASKED, "--model", BASE)["answer"]
    named = mine.json(*ASKED, "--adapter", "legal@000001")["answer"]
    assert named != plain

    release = mine.json("promote", "legal@000001", "--kb", "kb")
    assert (release["number"], release["generator_adapter"]) == (1, "legal@000001")
    assert mine.json(*ASKED, "--model", BASE)["answer"] == named
    assert mine.json(*ASKED, "--model", BASE, "--adapter", "base")["answer"] == plain
    kept = mine("adapters", "remove", "legal@000001", "--drop-alias", "--kb", "kb", code=1)
    assert "release 1 needs it" in kept.stderr

    assert mine.json("rollback", "--kb", "kb")["number"] == 0
    assert mine.json(*ASKED, "--model", BASE)["answer"] == plain
    told = mine("adapters", "remove", "legal@000001", "--kb", "kb", code=1)
    assert "--drop-alias" in told.stderr
    removed = mine.json("adapters", "remove", "legal@000001", "--drop-alias", "--kb", "kb")
    assert removed == {"removed": "legal@000001"}
    assert mine.json("adapters", "list", "--kb", "kb") == []
