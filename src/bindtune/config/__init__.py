"""Settings of every command, as one frozen model each. All defaults are here.

The settings of binding sites are imported when they are first used, because `--help` does not need them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bindtune.config.align import AlignConfig
from bindtune.config.compare import CompareConfig
from bindtune.config.explain import ExplainConfig
from bindtune.config.inference import EnsembleConfig, EvaluateConfig, InferenceConfig, PredictConfig, ScanConfig
from bindtune.config.pretraining import PretrainConfig
from bindtune.config.probe import ProbeConfig
from bindtune.config.settings import Settings, build, dump, load, read_yaml
from bindtune.config.sites import SitesConfig
from bindtune.config.windows import WindowsConfig
from bindtune.config.zero_shot import EmbedConfig, ScoreConfig

if TYPE_CHECKING:
    from bindtune.config.binding import BindingConfig, ContextSettings, LoraSettings, load_binding

_BINDING = ("BindingConfig", "ContextSettings", "LoraSettings", "load_binding")

__all__ = [
    "AlignConfig",
    "BindingConfig",
    "CompareConfig",
    "ContextSettings",
    "EmbedConfig",
    "EnsembleConfig",
    "EvaluateConfig",
    "ExplainConfig",
    "InferenceConfig",
    "LoraSettings",
    "PredictConfig",
    "PretrainConfig",
    "ProbeConfig",
    "ScanConfig",
    "ScoreConfig",
    "Settings",
    "SitesConfig",
    "WindowsConfig",
    "build",
    "dump",
    "load",
    "load_binding",
    "read_yaml",
]


def __getattr__(name: str) -> Any:
    if name not in _BINDING:
        raise AttributeError(f"module 'bindtune.config' has no attribute '{name}'")
    return getattr(import_module("bindtune.config.binding"), name)
