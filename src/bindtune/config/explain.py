"""Settings of `bindtune explain`."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from bindtune.config.settings import Count, Settings


class ExplainConfig(Settings):
    """Which letters make the models of a probe call a sequence bound."""

    probe: Path
    """Folder of a finished probe."""
    fasta: Path | None = None
    """Sequences to explain: FASTA. Headers chrom:start-end(strand) give coordinates."""
    genome: Path | None = None
    """Genome for --regions: FASTA (plain, gzip or bgzip) or 2bit."""
    regions: Path | None = None
    """Regions to explain: BED. Regions of the minus strand are read along that strand."""
    out: Path
    """Folder to write. A stopped command goes on from the files in it."""
    overwrite: bool = False
    """Replace another explanation in the folder."""

    method: Literal["mutate", "gradients"] = "mutate"
    """mutate: try every single substitution; this works for every model. gradients: integrated gradients, for networks
    only; it needs the extra bindtune[explain]."""
    model: tuple[str, ...] = ()
    """Model of the probe to explain. By default all models that the method can explain. NAME=FOLDER gives the new
    folder of a model's encoder that has moved."""
    dataset: str | None = None
    """Data set of the models, if the probe has several."""
    arm: str | None = None
    """Kind of negatives in the training of the models. By default the probe's first."""
    steps: Count = 64
    """With --method gradients: steps between the empty sequence and the real one. Sequences with a larger gap than
    tolerance get more steps."""
    tolerance: Annotated[float, Field(gt=0)] = 0.01
    """With --method gradients: largest gap of a sequence. The sum of its values should be its logit less that of the
    empty sequence. The gap between both is a share of this difference, or of 1 if the difference is smaller."""
    motifs: Annotated[int, Field(ge=0, le=50)] = 3
    """Motifs to look for in the highest stretches, for each model."""
    motif_length: Annotated[int, Field(ge=4, le=30)] = 8
    """Letters of a motif."""
    bigwig: bool = False
    """Also write tracks as bigWig. It needs --regions and the extra bindtune[explain]."""

    @field_validator("model", mode="before", json_schema_input_type=str | list[str])
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return value if isinstance(value, list | tuple) else [value]

    @model_validator(mode="after")
    def _one_source_of_sequences(self) -> Self:
        if (self.fasta is None) == (self.regions is None):
            raise ValueError("give either --fasta, or --regions and --genome")
        if (self.regions is None) != (self.genome is None):
            raise ValueError("--regions and --genome go together")
        if self.bigwig and self.regions is None:
            raise ValueError("--bigwig needs --regions and --genome, which say how long chromosomes are")
        return self

    @property
    def model_names(self) -> tuple[str, ...]:
        """The models that are named, each once."""
        return tuple(dict.fromkeys(value.partition("=")[0] for value in self.model))

    @property
    def encoder_folders(self) -> dict[str, str]:
        """Folders of encoders that have moved, by model."""
        return {name: folder for name, _, folder in (value.partition("=") for value in self.model) if folder}
