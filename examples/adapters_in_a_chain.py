"""One base model, two adapters, one chain: each question says which one answers it."""

import sys
from tempfile import TemporaryDirectory

from peft import LoraConfig, get_peft_model
from transformers import LlamaForCausalLM

from langchain_graft import KnowledgeBase, create_rag_chain
from langchain_graft.models import TransformersEngine
from langchain_graft.testing import HashEmbeddings

base = sys.argv[1] if len(sys.argv) > 1 else "smollm2-135m"
with TemporaryDirectory() as folder:
    kb = KnowledgeBase.create(f"{folder}/kb", embeddings=HashEmbeddings())
    kb.ingest(__file__)
    config = TransformersEngine.load(base).model.config
    for name in ("legal", "medical"):  # in place of two that you trained
        tuned = LlamaForCausalLM(config)
        lora = LoraConfig(target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
        get_peft_model(tuned, lora).save_pretrained(f"{folder}/{name}", save_embedding_layers=False)
        kb.import_adapter(f"{folder}/{name}", name, base=f"hf:{base}")
        kb.adapters.promote(kb.adapters.list()[-1].ref)
    model = kb.chat_model(f"hf:{base}", max_tokens=20)
    chain = create_rag_chain(model, kb.retriever("bm25"))
    for adapter in ("legal@000001", "medical", "base"):
        output = chain.invoke("Which adapters are there?", {"configurable": {"adapter": adapter}})
        print(adapter, "|", output["answer"])
