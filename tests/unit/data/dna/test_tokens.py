"""Windows to tokens: what letters become, where peaks land, what is counted, and when the cache is used."""

import copy
import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
from tokenizers import Regex
from tokenizers.pre_tokenizers import Split
from transformers import EsmTokenizer, PreTrainedTokenizer, PreTrainedTokenizerFast

from bindtune.data.dna import window_tokens
from bindtune.data.dna.tokens import check_offsets, encode, load_tokenizer
from bindtune.data.dna.window_tokens import COLUMNS, TokenReport, tokenise_file
from bindtune.errors import CheckpointError, ConfigError, InputError

Spans = list[tuple[int, int]]
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, datasets_cache: Path) -> Write:
    """Write windows, each (sequence, peaks), and give the path of the file."""

    def written(*windows: tuple[str, Spans], name: str = "windows.json") -> Path:
        records = [
            {
                "sequence": sequence,
                "seq_id": f"w{number}",
                "seq_len": len(sequence),
                "eclip_regions": [{"peak_start": start, "peak_end": end} for start, end in peaks],
            }
            for number, (sequence, peaks) in enumerate(windows)
        ]
        path = tmp_path / name
        path.write_text(json.dumps(records))
        return path

    return written


def tokenise(
    path: Path, tokenizer: Any, max_length: int = 512, overlap: Any = "any", processes: int = 1
) -> tuple[list[dict[str, Any]], TokenReport]:
    windows, report = tokenise_file(path, tokenizer, max_length=max_length, overlap=overlap, processes=processes)
    return windows.to_list(), report


def many(number: int) -> list[tuple[str, Spans]]:
    return [("ACGTTAGC"[n % 5 :] * (n % 7 + 1), [(n % 4, n % 4 + 5)] if n % 3 else []) for n in range(number)]


class TestLetters:
    def test_columns_and_counts(self, tokenizer: PreTrainedTokenizerFast, write: Write) -> None:
        rows, report = tokenise(write(("ACGTTA", [(1, 3), (0, 6)]), ("acguNNRACX", [(9, 10), (4, 6)])), tokenizer)
        one, two = rows
        assert set(one) == set(COLUMNS)
        assert tokenizer.convert_ids_to_tokens(one["input_ids"]) == ["[CLS]", "ACGT", "TA", "[SEP]"]
        assert (one["eclip_token_starts"], one["eclip_token_ends"]) == ([1, 1], [2, 3])
        expected = ["[CLS]", "ACGT", "[UNK]", "[UNK]", "[UNK]", "AC", "[UNK]", "[SEP]"]
        assert tokenizer.convert_ids_to_tokens(two["input_ids"]) == expected
        assert (two["eclip_token_starts"], two["eclip_token_ends"]) == ([6, 2], [7, 4])
        assert [row["length"] for row in rows] == [4, 8]
        assert report == TokenReport(
            windows=2,
            letters=16,
            lower_case=4,
            uracil=1,
            tokens=12,
            unknown=4,
            truncated=0,
            peaks=4,
            peaks_without_token=0,
        )

    def test_case_and_uracil_change_nothing_but_the_counts(
        self, tokenizer: PreTrainedTokenizerFast, write: Write
    ) -> None:
        forms = ["ACGTTAACGTTA", "acgttaacgtta", "ACGUUAACGUUA", "acguuaACGTTA"]
        rows, report = tokenise(write(*((form, [(5, 9)]) for form in forms)), tokenizer)
        for name in ("input_ids", "eclip_token_starts", "eclip_token_ends"):
            assert {tuple(row[name]) for row in rows} == {tuple(rows[0][name])}
        assert (report.lower_case, report.uracil, report.unknown) == (18, 6, 0)

    @pytest.mark.parametrize("letter", ["N", "X", "n", "e"])
    def test_an_odd_letter_is_one_unknown_token_and_shifts_nothing(
        self, tokenizer: PreTrainedTokenizerFast, write: Write, letter: str
    ) -> None:
        sequence = "ACGT" + letter * 3 + "ACGT"
        rows, report = tokenise(write((sequence, [(7, 11), (4, 5)])), tokenizer)
        assert tokenizer.convert_ids_to_tokens(rows[0]["input_ids"])[1:-1] == ["ACGT", *["[UNK]"] * 3, "ACGT"]
        assert rows[0]["eclip_token_starts"] == [5, 2]
        assert rows[0]["eclip_token_ends"] == [6, 3]
        assert (report.unknown, report.letters, report.truncated) == (3, 11, 0)

    def test_truncation(self, tokenizer: PreTrainedTokenizerFast, write: Write) -> None:
        path = write(("ACGT" * 10, [(0, 2), (10, 40), (12, 16), (30, 40)]), ("ACGT" * 3, [(11, 12)]))
        rows, report = tokenise(path, tokenizer, max_length=5)
        assert [row["length"] for row in rows] == [5, 5]
        assert rows[0]["input_ids"][-1] == 2
        assert (rows[0]["eclip_token_starts"], rows[0]["eclip_token_ends"]) == ([1, 3], [2, 4])
        assert (rows[1]["eclip_token_starts"], rows[1]["eclip_token_ends"]) == ([3], [4])
        assert (report.truncated, report.peaks, report.peaks_without_token) == (1, 5, 2)

    def test_overlap_rules(self, tokenizer: PreTrainedTokenizerFast, write: Write) -> None:
        path = write(("ACGT" * 4, [(2, 11), (5, 7)]))
        assert tokenise(path, tokenizer)[0][0]["eclip_token_ends"] == [4, 3]
        rows, report = tokenise(path, tokenizer, overlap="contained")
        assert (rows[0]["eclip_token_starts"], rows[0]["eclip_token_ends"]) == ([2], [3])
        assert report.peaks_without_token == 1

    def test_records_are_told_apart_by_name_and_sequence(
        self, tokenizer: PreTrainedTokenizerFast, write: Write
    ) -> None:
        first = tokenise(write(("ACGT", []), ("ACGT", []), ("ACGA", []), name="a.json"), tokenizer)[0]
        again = tokenise(write(("acgu", [(1, 2)]), name="b.json"), tokenizer)[0]
        assert len({row["record"] for row in first}) == 3
        assert again[0]["record"] == first[0]["record"]

    def test_real_tokenizer(self, shared: Path, write: Write) -> None:
        tokenizer = load_tokenizer(str(shared / "tokenizer" / "dnabert2"))
        rows, report = tokenise(write(("ACGTAGCATCGG", [(4, 6)]), ("acgtnacgu", [(5, 9)])), tokenizer)
        assert rows[0]["input_ids"] == [1, 5, 194, 32, 288, 2]
        assert (rows[0]["eclip_token_starts"], rows[0]["eclip_token_ends"]) == ([2], [4])
        assert rows[1]["input_ids"] == [1, 5, 6, 1049, 0, 5, 6, 1049, 2]
        assert (rows[1]["eclip_token_starts"], rows[1]["eclip_token_ends"]) == ([5], [8])
        assert (report.lower_case, report.uracil, report.unknown) == (9, 1, 1)


class ThreeLetters(PreTrainedTokenizer):
    """A slow tokenizer of codons: it cannot say which letters a token stands for."""

    def __init__(self, **kwargs: Any) -> None:
        self.words = {"[UNK]": 0, "[CLS]": 1, "ACG": 2, "TAC": 3}
        super().__init__(unk_token="[UNK]", cls_token="[CLS]", **kwargs)

    @property
    def vocab_size(self) -> int:
        return len(self.words)

    def get_vocab(self) -> dict[str, int]:
        return dict(self.words)

    def _tokenize(self, text: str, **_: Any) -> list[str]:
        return [text[start : start + 3] for start in range(0, len(text), 3)]

    def _convert_token_to_id(self, token: str) -> int:
        return self.words.get(token, 0)

    def _convert_id_to_token(self, index: int) -> str:
        return {number: word for word, number in self.words.items()}[index]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_pattern_that_takes_for_ever_is_named(
    tokenizer: PreTrainedTokenizerFast, write: Write, processes: int
) -> None:
    endless = Split(Regex("(A|C|G|T|[ACGT])+(A|C|G|T|[ACGT])+!"), "isolated")
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.backend_tokenizer.pre_tokenizer = endless  # type: ignore[assignment]
    tokenizer.name_or_path = "some/model"
    path = write(("a", []), ("ACGT" * 40, []))
    with pytest.raises(CheckpointError, match=r"some/model: the tokenizer fails: .*retry-limit-in-match over"):
        tokenise_file(path, tokenizer, max_length=512, overlap="any", processes=processes)


class TestSlowTokenizers:
    @pytest.fixture
    def esm(self, tmp_path: Path) -> EsmTokenizer:
        words = ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCXBUZO", ".", "-", "<null_1>", "<mask>"]
        (tmp_path / "vocab.txt").write_text("\n".join(words))
        tokenizer = EsmTokenizer(str(tmp_path / "vocab.txt"))
        assert not tokenizer.is_fast
        return tokenizer

    def test_one_letter_a_token_is_exact(self, esm: EsmTokenizer, write: Write) -> None:
        sequence = "MKTAYIAKQR"
        rows, report = tokenise(write((sequence, [(0, 1), (3, 6), (9, 10), (10, 12)])), esm)
        assert esm.convert_ids_to_tokens(rows[0]["input_ids"]) == ["<cls>", *sequence, "<eos>"]
        assert (rows[0]["eclip_token_starts"], rows[0]["eclip_token_ends"]) == ([1, 4, 10], [2, 7, 11])
        assert (report.unknown, report.peaks_without_token, report.truncated) == (0, 1, 0)

    def test_the_letter_u_stays_where_the_tokenizer_reads_it(self, esm: EsmTokenizer, write: Write) -> None:
        rows, report = tokenise(write(("MKUukt", [])), esm)
        assert esm.convert_ids_to_tokens(rows[0]["input_ids"])[1:-1] == list("MKUUKT")
        assert (report.uracil, report.lower_case) == (0, 3)

    def test_unknown_letters_keep_their_place(self, esm: EsmTokenizer, write: Write) -> None:
        rows, report = tokenise(write(("MKJJAjJW", [(7, 8), (2, 4)])), esm)
        expected = ["<cls>", "M", "K", "<unk>", "<unk>", "A", "<unk>", "<unk>", "W", "<eos>"]
        assert esm.convert_ids_to_tokens(rows[0]["input_ids"]) == expected
        assert (rows[0]["eclip_token_starts"], rows[0]["eclip_token_ends"]) == ([8, 3], [9, 5])
        assert report.unknown == 4

    def test_truncation(self, esm: EsmTokenizer, write: Write) -> None:
        rows, report = tokenise(write(("MKTAYIAKQR", [(3, 9), (6, 9)])), esm, max_length=7)
        assert rows[0]["length"] == 7
        assert (rows[0]["eclip_token_starts"], rows[0]["eclip_token_ends"]) == ([4], [6])
        assert (report.truncated, report.peaks_without_token) == (1, 1)

    def test_other_than_one_letter_a_token_is_refused(self, write: Write) -> None:
        with pytest.raises(ConfigError, match=r"ThreeLetters .* no character offsets .* use a fast tokenizer"):
            check_offsets(ThreeLetters())
        with pytest.raises(ConfigError, match="ThreeLetters"):
            tokenise(write(("ACGTAC", [])), ThreeLetters())

    def test_fast_offsets_are_the_tokenizers_own(self, tokenizer: PreTrainedTokenizerFast) -> None:
        check_offsets(tokenizer)
        ids, offsets = encode(tokenizer, ["ACGTTA"], 512)
        assert ids == [tokenizer("ACGTTA")["input_ids"]]
        assert [tuple(span) for span in offsets[0]] == [(0, 0), (0, 4), (4, 6), (0, 0)]


class TestCache:
    @pytest.fixture
    def counted(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """The sizes of the batches that are really tokenised."""
        sizes: list[int] = []
        original = window_tokens._fast_ids

        def counting(tokenizer: Any, sequences: list[str], max_length: int) -> Any:
            sizes.append(len(sequences))
            return original(tokenizer, sequences, max_length)

        monkeypatch.setattr(window_tokens, "_fast_ids", counting)
        return sizes

    def test_a_second_call_reads_what_the_first_one_made(
        self, tokenizer: PreTrainedTokenizerFast, write: Write, counted: list[int], datasets_cache: Path
    ) -> None:
        path = write(*many(20))
        first = tokenise(path, tokenizer)
        assert sum(counted) == 20
        files = {file: file.stat().st_mtime_ns for file in datasets_cache.rglob("*.arrow")}
        assert len(files) == 2
        assert tokenise(path, tokenizer) == first
        assert sum(counted) == 20
        assert {file: file.stat().st_mtime_ns for file in datasets_cache.rglob("*.arrow")} == files

    def test_other_content_tokenizer_length_or_rule_is_noticed(
        self, tokenizer: PreTrainedTokenizerFast, write: Write, counted: list[int]
    ) -> None:
        tokenise(write(*many(5)), tokenizer)
        path = write(*many(6))
        assert len(tokenise(path, tokenizer)[0]) == 6
        assert sum(counted) == 11
        other = copy.deepcopy(tokenizer)
        other.add_tokens(["TTTT"])
        for arguments in ({"max_length": 6}, {"overlap": "contained"}):
            tokenise(path, tokenizer, **arguments)  # type: ignore[arg-type]
        tokenise(path, other)
        assert sum(counted) == 29

    def test_rows_are_memory_mapped(self, tokenizer: PreTrainedTokenizerFast, write: Write) -> None:
        windows, _ = tokenise_file(write(*many(5)), tokenizer, max_length=512, overlap="any", processes=1)
        assert isinstance(windows.data, datasets.table.MemoryMappedTable)
        assert windows.column_names == list(COLUMNS)

    @pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
    @pytest.mark.parametrize("number", [1, 23])
    def test_two_processes_make_what_one_makes(
        self,
        tokenizer: PreTrainedTokenizerFast,
        write: Write,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        number: int,
    ) -> None:
        path = write(*many(number))
        one = tokenise(path, tokenizer)
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "another-cache")
        assert tokenise(path, tokenizer, processes=2) == one
        assert len(one[0]) == number


class TestRefusals:
    def test_a_bad_record_comes_through(self, tokenizer: PreTrainedTokenizerFast, tmp_path: Path, write: Write) -> None:
        path = tmp_path / "bad.jsonl"
        good = {"sequence": "ACGT", "seq_id": "a", "eclip_regions": []}
        path.write_text(json.dumps(good) + "\n" + json.dumps({**good, "seq_len": 3}) + "\n")
        with pytest.raises(InputError, match=r"bad\.jsonl:2: seq_len is 3, but the sequence has 4 letters"):
            tokenise(path, tokenizer)

    def test_a_cache_that_may_not_be_written(
        self, tokenizer: PreTrainedTokenizerFast, write: Write, datasets_cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(folder: Path) -> None:
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))

        monkeypatch.setattr(window_tokens, "taking_turns", refuse)
        with pytest.raises(ConfigError, match=f"^{datasets_cache}/.*: Permission denied; set HF_DATASETS_CACHE to"):
            tokenise(write(*many(1)), tokenizer)

    @pytest.mark.parametrize("processes", [1, 2])
    def test_a_file_without_windows(self, tokenizer: PreTrainedTokenizerFast, write: Write, processes: int) -> None:
        with pytest.raises(InputError, match="holds no windows"):
            tokenise(write(), tokenizer, processes=processes)

    def test_no_file(self, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="missing"):
            tokenise(tmp_path / "missing", tokenizer)

    def test_no_tokenizer(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match=str(tmp_path)) as caught:
            load_tokenizer(str(tmp_path))
        assert "\n" not in str(caught.value)
