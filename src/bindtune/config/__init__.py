"""Settings of every command: one frozen model a job. Defaults stand here and nowhere else."""

from bindtune.config.binding import BindingConfig, ContextSettings, LoraSettings, load_binding
from bindtune.config.inference import EvaluateConfig, InferenceConfig, PredictConfig
from bindtune.config.pretraining import PretrainConfig
from bindtune.config.settings import Settings, build, dump, load, read_yaml
from bindtune.config.windows import WindowsConfig
from bindtune.config.zero_shot import EmbedConfig, ScoreConfig

__all__ = [
    "BindingConfig",
    "ContextSettings",
    "EmbedConfig",
    "EvaluateConfig",
    "InferenceConfig",
    "LoraSettings",
    "PredictConfig",
    "PretrainConfig",
    "ScoreConfig",
    "Settings",
    "WindowsConfig",
    "build",
    "dump",
    "load",
    "load_binding",
    "read_yaml",
]
