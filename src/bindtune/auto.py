"""Makes the auto classes of transformers know the models of bindtune.

``import bindtune`` alone imports no torch, so it cannot register classes that are made of torch modules.
After ``import bindtune.auto`` they are known: to `AutoConfig`, `AutoModel`, `AutoModelForMaskedLM` and `AutoTokenizer`
DNABERT-2 and Profluent-E1, to `AutoModelForSequenceClassification` and `AutoModelForTokenClassification` DNABERT-2.
The line may stand before or after the import of transformers.
"""

from bindtune.models import dnabert2, dnabert2_classifiers, e1, e1_tokenizer

REGISTERED = (
    dnabert2.DNABert2Model,
    dnabert2.DNABert2ForMaskedLM,
    dnabert2_classifiers.DNABert2ForSequenceClassification,
    dnabert2_classifiers.DNABert2ForTokenClassification,
    e1.E1Model,
    e1.E1ForMaskedLM,
    e1_tokenizer.E1Tokenizer,
)
"""The classes that the auto classes know now."""
