"""A tiny model whose embeddings have rows that its tokenizer has nothing for."""

import pytest


@pytest.fixture(scope="session")
def roomy_folder(tiny_tokenizer, tmp_path_factory):
    """Twenty rows more than tokens."""
    import torch  # noqa: PLC0415
    from transformers import LlamaConfig, LlamaForCausalLM  # noqa: PLC0415

    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(tiny_tokenizer) + 20,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.3,
        tie_word_embeddings=True,
        eos_token_id=0,
        bos_token_id=None,
    )
    folder = tmp_path_factory.mktemp("models") / "roomy"
    LlamaForCausalLM(config).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder
