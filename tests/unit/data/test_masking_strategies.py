"""One record makes a strategy: settings, collator, reports and model cards read the table."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from bindtune.config import PretrainConfig, build
from bindtune.data.masking import choose_masked
from bindtune.data.masking_strategies import STRATEGIES, Counts, MaskingRates, Pools, Strategy, strategy_name
from bindtune.errors import ConfigError, InputError
from bindtune.reports.run_settings import masking_goals, masking_mode, masking_words, pretraining_settings

SETTINGS = {"target_mlm_prob": 0.15, "eclip_mlm_lo": 0.2, "eclip_mlm_hi": 0.25, "min_flanking_prob": 0.05}


def _flanks_first(pools: Pools, rates: MaskingRates) -> Counts:
    in_flanks = np.minimum(pools.flank, pools.total)
    return Counts(pools.total - in_flanks, in_flanks, pools.flank < pools.total)


@pytest.fixture
def flanks_first(monkeypatch: pytest.MonkeyPatch) -> None:
    strategy = Strategy(
        count=_flanks_first,
        help="flanks alone",
        sentence="Tokens in flanks were masked at {target}",
        goals=("what flanks are too short for", "{target}"),
        uses_peaks=True,
        uses_rates=False,
    )
    monkeypatch.setitem(STRATEGIES, "flanks-first", strategy)  # type: ignore[arg-type]


@pytest.mark.usefixtures("flanks_first")
def test_a_further_record_is_a_strategy_everywhere() -> None:
    rates = MaskingRates(target=0.5, peak_range=(0.0, 1.0), floor=0.9, strategy="flanks-first")
    in_peak = np.arange(10)[None] < np.array([[4], [8]])
    selected, relaxed = choose_masked(in_peak, np.ones((2, 10), bool), rates=rates, keys=np.arange(2, dtype=np.uint64))
    assert (selected & in_peak).sum(axis=1).tolist() == [0, 3]
    assert (selected & ~in_peak).sum(axis=1).tolist() == [5, 2]
    assert relaxed.tolist() == [False, True]
    config = {**SETTINGS, "masking": "flanks-first"}
    assert masking_mode(config) == "flanks-first"
    assert masking_words(config) == "Tokens in flanks were masked at 15 %"
    assert masking_goals(config) == ("what flanks are too short for", "15 %")
    assert "eclip_mlm_lo" not in pretraining_settings(config)


def test_settings_take_the_names_of_the_table() -> None:
    code = (
        "from bindtune.data import masking_strategies as m\n"
        "m.STRATEGIES['flanks-first'] = m.STRATEGIES['uniform']\n"
        "from typing import Literal\n"
        "m.StrategyName = Literal[tuple(m.STRATEGIES)]\n"
        "from bindtune.config import PretrainConfig, build\n"
        "config = build(PretrainConfig, {'train_file': 't', 'masking': 'flanks-first'})\n"
        "print(config.masking_mode, 'flanks-first masks' in PretrainConfig.model_fields['masking'].description)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["flanks-first", "True"]


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_is_a_setting_with_its_texts(name: str) -> None:
    assert build(PretrainConfig, {"train_file": "t", "masking": name}).masking_mode == name
    assert f"{name} masks {STRATEGIES[name].help}" in str(PretrainConfig.model_fields["masking"].description)
    config = {**SETTINGS, "masking": name}
    for text in (masking_words(config), *masking_goals(config)):
        assert text
        assert "{" not in text


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        ({}, "Tokens in binding regions were masked at 20 % to 25 %, more often than those in the flanks"),
        ({"eclip_mlm_hi": 0.2}, "Tokens in binding regions were masked at 20 %, more often than those in the flanks"),
        (
            {"eclip_mlm_lo": 0.05, "eclip_mlm_hi": 0.1},
            "Tokens in binding regions were masked at 5 % to 10 %, less often than those in the flanks",
        ),
        ({"eclip_mlm_lo": 0.15, "eclip_mlm_hi": 0.15}, "Tokens in binding regions and flanks were masked alike"),
    ],
)
def test_adaptive_words_follow_from_the_rates(rates: dict[str, float], words: str) -> None:
    assert masking_words({**SETTINGS, **rates, "use_adaptive_masking": True}) == words


def test_the_name_wins_over_the_switch() -> None:
    assert [strategy_name(None, adaptive=value) for value in (True, False)] == ["adaptive", "uniform"]
    assert [strategy_name("peak-only", adaptive=value) for value in (True, False)] == ["peak-only"] * 2


@pytest.mark.parametrize("masking", ["adaptiv", 5])
def test_a_run_of_an_unknown_strategy_is_not_taken_for_uniform(masking: Any) -> None:
    names = " or ".join(STRATEGIES)
    with pytest.raises(InputError, match=f"config.yaml: masking is {masking!r}, expected {names}"):
        masking_mode({**SETTINGS, "masking": masking})


def test_rates_of_an_unknown_strategy_are_refused() -> None:
    names = " or ".join(STRATEGIES)
    with pytest.raises(ConfigError, match=f"there is no masking strategy 'adaptiv', expected {names}"):
        MaskingRates(target=0.15, peak_range=(0.2, 0.25), floor=0.05, strategy="adaptiv")
