"""The engine in its numbers and on its devices, on models built from a config."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

from langchain_graft.finetune_bridge import AdapterEngine, AdapterManifest, AdapterStore
from langchain_graft.models import TransformersEngine, TransformersSettings
from langchain_graft.models.reply import Sampling

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
PROMPTS = [[5, 17, 120, 9], [88, 4, 250, 31, 7], [7, 7, 100]]
ADAPTERS = ["base", "a", "b", "c"]


@pytest.fixture(autouse=True)
def there(request):
    if request.node.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("no CUDA device here")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A Llama of two layers and its tokenizer: a byte is a token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("base")
    letters = {letter: n + 3 for n, letter in enumerate(bytes_to_unicode().values())}
    vocabulary = {"<|endoftext|>": 0, "<a>": 1, "<b>": 2, **letters}
    fast = Tokenizer(models.BPE(vocabulary, []))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=fast, eos_token="<|endoftext|>").save_pretrained(  # noqa: S106
        folder
    )
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        eos_token_id=0,
        initializer_range=0.1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(base, tmp_path_factory):
    made = []
    for seed in (1, 2, 3):
        torch.manual_seed(seed)
        settings = LoraConfig(
            r=8,
            target_modules=["q_proj", "v_proj", "down_proj"],
            init_lora_weights=False,
            task_type="CAUSAL_LM",
        )
        model = get_peft_model(LlamaForCausalLM.from_pretrained(base), settings)
        folder = tmp_path_factory.mktemp(f"adapter{seed}")
        model.save_pretrained(folder, save_embedding_layers=False)
        made.append(folder)
    return made


@pytest.fixture
def adapters(request, base, folders, tmp_path):
    device, numbers = request.param
    nf4 = "nf4" if numbers == "nf4" else None
    settings = TransformersSettings(
        device=device, dtype="bfloat16" if nf4 else numbers, quantization=nf4
    )
    engine = TransformersEngine.load(str(base), settings)
    store = AdapterStore(tmp_path / "adapters")
    for name, folder in zip(ADAPTERS[1:], folders, strict=True):
        manifest = AdapterManifest(kind="generator", base="hf:x", base_digest=engine.digest)
        store.promote(store.register(folder, name, manifest=manifest))
    return AdapterEngine(engine, store)


def on_each(numbers):
    return [
        pytest.param(("cpu", numbers), id=f"cpu-{numbers}"),
        pytest.param(("cuda", numbers), id=f"cuda-{numbers}", marks=pytest.mark.gpu),
    ]


def first(adapters, name, prompt, tokens=1):
    with adapters.lease(name) as lease:
        sampling = Sampling(max_tokens=tokens, top_logprobs=5)
        [piece, *_] = adapters.engine.generate(prompt, sampling, variant=lease.variant)
    return sorted(one["logprob"] for one in piece.logprobs[0]["top_logprobs"])


@pytest.mark.parametrize(
    "adapters", [*on_each("float32"), *on_each("bfloat16"), *on_each("nf4")], indirect=True
)
def test_a_race_over_four_variants_has_no_wrong_answer(adapters):
    """Together as each alone: what differs between variants is far more than rounding."""
    pairs = list(itertools.product(ADAPTERS, range(len(PROMPTS))))
    alone = {(name, n): first(adapters, name, PROMPTS[n]) for name, n in pairs}
    apart = [
        np.abs(np.subtract(alone[a], alone[b])).max()
        for a, b in itertools.combinations(pairs, 2)
        if a[1] == b[1]
    ]
    alike = 1e-4 if adapters.engine.dtype == "float32" else 0.02
    assert min(apart) > 2 * alike
    asked = pairs * 20
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda pair: first(adapters, pair[0], PROMPTS[pair[1]], 4), asked))
    wrong = [
        pair
        for pair, top in zip(asked, found, strict=True)
        if not np.allclose(top, alone[pair], atol=alike)
    ]
    assert not wrong


@pytest.mark.parametrize("adapters", [*on_each("nf4")], indirect=True)
def test_four_bits_are_a_quarter(adapters, base):
    layer = adapters.engine.model.model.layers[0].mlp.down_proj
    assert layer.weight.dtype == torch.uint8
    whole = TransformersEngine.load(str(base), TransformersSettings(device="cpu", dtype="float32"))
    assert adapters.engine.digest == whole.digest  # an adapter goes with the weights, whatever bits
    size = adapters.engine.model.get_memory_footprint()
    assert size < 0.5 * whole.model.get_memory_footprint()


@pytest.mark.parametrize("adapters", [*on_each("bfloat16")], indirect=True)
def test_scores_have_their_adapter(adapters):
    with adapters.lease("a") as lease:
        [tuned] = adapters.engine.logprobs(["ab"], ["cde"], variant=lease.variant)
    [plain] = adapters.engine.logprobs(["ab"], ["cde"])
    assert np.abs(tuned - plain).max() > 0.05
