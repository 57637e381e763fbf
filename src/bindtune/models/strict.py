"""Loading that is strict both ways, shared by the native encoders."""

from typing import Any, ClassVar

import torch
from transformers import PreTrainedModel

from bindtune.errors import CheckpointError
from bindtune.models.damage import MODEL_DOCUMENTS, check_documents, loading


class StrictPreTrainedModel(PreTrainedModel):
    """A `PreTrainedModel` whose weights load completely or not at all.

    transformers warns about keys that are left over and fills missing parameters with random numbers. Here both raise,
    except for `leaves_behind`: prefixes of keys that belong to a head that the class does not have.
    """

    leaves_behind: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """Load from a hub name or a folder, in fp32 unless `dtype` says otherwise.

        Returns:
            The model in evaluation mode; with `output_loading_info` a tuple of it and the loading info.

        Raises:
            CheckpointError: the weights are missing, damaged, or do not fit the model key by key and shape by shape.
        """
        kwargs.setdefault("dtype", kwargs.pop("torch_dtype", torch.float32))
        wants_info = kwargs.pop("output_loading_info", False)
        kwargs["ignore_mismatched_sizes"] = True  # reported below, all of them at once
        with loading(pretrained_model_name_or_path, "no model"):
            check_documents(pretrained_model_name_or_path, MODEL_DOCUMENTS)
            loaded: Any = super().from_pretrained(
                pretrained_model_name_or_path, *args, output_loading_info=True, **kwargs
            )
        model, info = loaded
        misfits = {key for key, *_ in info["mismatched_keys"]}
        left_over = sorted(key for key in info["unexpected_keys"] if not key.startswith(cls.leaves_behind))
        problems = [
            *(f"no parameter for {key}" for key in left_over),
            *(f"nothing for parameter {key}" for key in sorted(info["missing_keys"] - misfits)),
            *(
                f"{key} has shape {tuple(found)}, expected {tuple(want)}"
                for key, found, want in info["mismatched_keys"]
            ),
            *model.untied(),
        ]
        if problems:
            raise CheckpointError(
                f"{pretrained_model_name_or_path} does not fit {cls.__name__}: {'; '.join(problems[:10])}"
                + (f"; and {len(problems) - 10} more" if len(problems) > 10 else "")
            )
        return (model, info) if wants_info else model

    def tie_weights(self, missing_keys: set[str] | None = None, recompute_mapping: bool = True) -> None:
        """Tie as transformers does, which cannot compare two copies of a weight when one has another shape."""
        if missing_keys is not None:
            tied = {name for pair in self.all_tied_weights_keys.items() for name in pair}
            missing_keys |= {name for name in tied if self.get_parameter(name).is_meta}
        super().tie_weights(missing_keys=missing_keys, recompute_mapping=recompute_mapping)

    def untied(self) -> list[str]:
        """Parameters that should be one and were stored with different values."""
        wanted = self.get_expanded_tied_weights_keys(all_submodels=True)
        return [
            f"{copy} differs from {original}, to which it is tied"
            for copy, original in wanted.items()
            if self.get_parameter(copy) is not self.get_parameter(original)
        ]
