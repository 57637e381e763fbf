"""Names of a model's files, as transformers, PEFT and the hub write and read them."""

MODEL_CONFIG = "config.json"
GENERATION_CONFIG = "generation_config.json"
SAFETENSORS = "model.safetensors"
TORCH_WEIGHTS = "pytorch_model.bin"
WEIGHTS = (SAFETENSORS, TORCH_WEIGHTS)
INDICES = tuple(f"{name}.index.json" for name in WEIGHTS)
SAFETENSORS_INDEX = INDICES[0]
"""Which of several files holds which weights."""
SHARDS = "model-*-of-*.safetensors"
"""Pattern of the files that one model's weights are divided between."""

TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
SPECIAL_TOKENS = "special_tokens_map.json"
ADDED_TOKENS = "added_tokens.json"
VOCABULARY = "vocab.txt"
TOKENIZER_TEXTS = (VOCABULARY, "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model")

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_FILES = (ADAPTER_CONFIG, ADAPTER_WEIGHTS)
