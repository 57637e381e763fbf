"""`import bindtune.auto` is enough for the auto classes, in either order; `import bindtune` stays light.

Interpreters of their own: what another test has imported must not help.
"""

import subprocess
import sys
from pathlib import Path

import pytest

import bindtune
from bindtune import (
    DNABert2Config,
    DNABert2ForMaskedLM,
    DNABert2ForSequenceClassification,
    DNABert2ForTokenClassification,
    E1Config,
    E1ForMaskedLM,
    E1Tokenizer,
)

DNABERT2 = DNABert2Config(
    vocab_size=40, hidden_size=12, num_hidden_layers=1, num_attention_heads=3, intermediate_size=16, num_labels=2
)
E1 = E1Config(
    hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
    max_num_sequences=4,
)  # fmt: skip
AUTO = "from transformers import (AutoConfig, AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification,"
AUTO += " AutoModelForTokenClassification, AutoTokenizer)"
LINES = (AUTO, "import bindtune.auto")
LOAD = """
import sys
for folder in sys.argv[1:]:
    for auto in (AutoConfig, AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification,
                 AutoModelForTokenClassification, AutoTokenizer):
        try:
            print(folder.rpartition("/")[2], auto.__name__, type(auto.from_pretrained(folder)).__name__)
        except Exception as error:
            print(folder.rpartition("/")[2], auto.__name__, "refused")
"""
EXPECTED = """
mlm AutoConfig DNABert2Config
mlm AutoModel DNABert2Model
mlm AutoModelForMaskedLM DNABert2ForMaskedLM
mlm AutoModelForSequenceClassification DNABert2ForSequenceClassification
mlm AutoModelForTokenClassification DNABert2ForTokenClassification
mlm AutoTokenizer TokenizersBackend
rows AutoConfig DNABert2Config
rows AutoModel DNABert2Model
rows AutoModelForMaskedLM refused
rows AutoModelForSequenceClassification DNABert2ForSequenceClassification
rows AutoModelForTokenClassification DNABert2ForTokenClassification
rows AutoTokenizer refused
tokens AutoConfig DNABert2Config
tokens AutoModel DNABert2Model
tokens AutoModelForMaskedLM refused
tokens AutoModelForSequenceClassification DNABert2ForSequenceClassification
tokens AutoModelForTokenClassification DNABert2ForTokenClassification
tokens AutoTokenizer refused
e1 AutoConfig E1Config
e1 AutoModel E1Model
e1 AutoModelForMaskedLM E1ForMaskedLM
e1 AutoModelForSequenceClassification refused
e1 AutoModelForTokenClassification refused
e1 AutoTokenizer E1Tokenizer
e1-with-tokenizer AutoConfig E1Config
e1-with-tokenizer AutoModel E1Model
e1-with-tokenizer AutoModelForMaskedLM E1ForMaskedLM
e1-with-tokenizer AutoModelForSequenceClassification refused
e1-with-tokenizer AutoModelForTokenClassification refused
e1-with-tokenizer AutoTokenizer E1Tokenizer
"""


def python(code: str, *words: object) -> str:
    """What a new interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error::FutureWarning", "-c", code, *map(str, words)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, tokenizer: object) -> list[Path]:
    """Saved models of every class; one of E1 as the hub has it, without tokenizer files."""
    parent = tmp_path_factory.mktemp("models")
    DNABert2ForMaskedLM(DNABERT2).save_pretrained(parent / "mlm")
    tokenizer.save_pretrained(parent / "mlm")  # type: ignore[attr-defined]
    DNABert2ForSequenceClassification(DNABERT2).save_pretrained(parent / "rows")
    DNABert2ForTokenClassification(DNABERT2).save_pretrained(parent / "tokens")
    for name in ("e1", "e1-with-tokenizer"):
        E1ForMaskedLM(E1).save_pretrained(parent / name)
    E1Tokenizer().save_pretrained(parent / "e1-with-tokenizer")
    return [parent / name for name in ("mlm", "rows", "tokens", "e1", "e1-with-tokenizer")]


@pytest.mark.parametrize("lines", [LINES, LINES[::-1]], ids=["transformers first", "bindtune first"])
def test_one_line_is_enough_in_either_order(lines: tuple[str, ...], folders: list[Path]) -> None:
    assert python("\n".join(lines) + LOAD, *folders).split("\n") == EXPECTED.lstrip().split("\n")


def test_who_looks_for_auto_classes_in_bindtune_is_told_the_line() -> None:
    with pytest.raises(ImportError, match="cannot import name 'AutoModel'"):
        from bindtune import AutoModel  # type: ignore[attr-defined] # noqa: F401
    with pytest.raises(AttributeError, match=r"after `import bindtune\.auto`"):
        bindtune.AutoModel  # noqa: B018


def test_the_package_alone_imports_neither_torch_nor_transformers() -> None:
    code = "import bindtune, sys; print(sorted({'torch', 'transformers', 'peft', 'numpy'} & set(sys.modules)))"
    assert python(code) == "[]\n"
