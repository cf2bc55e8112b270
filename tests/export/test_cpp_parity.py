"""The C++ runtime against Python: the same cleaned text, the same ids, the same answers, and the same refusals."""

from __future__ import annotations

import ctypes
import json
import os
import random
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from itertools import compress
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kuaixun.export.batches import in_batches
from kuaixun.export.bundle.golden import GOLDEN_TEXTS
from kuaixun.export.bundle.reader import Bundle, read_bundle
from kuaixun.export.bundle.writer import write_bundle
from kuaixun.export.checkpoint import Checkpoint
from kuaixun.export.classifier import open_classifier
from kuaixun.export.classify_lines import dumped_lines, label_lines
from kuaixun.export.engine.interface import EngineChoice
from kuaixun.export.engine.select import open_and_compare
from kuaixun.export.text.folding import unicode_table
from kuaixun.export.text.pipeline import TextPipeline
from tests.export.c_interface import CText
from tests.export.hostile_bundles import MANIFESTS, TABLES, rewrite, rewrite_at, rewrite_table

SEED = 20
GENERATED_TEXTS = 120_000
FRAGMENTS = (
    *("<b>", "</p>", "<br/>", "<p class=x>", "<h1>", "<h7>", "<!--", "<", ">", "</", "<div", "<td ", "<li/"),
    *("&amp;", "&lt;", "&nbsp;", "&#20013;", "&#x4E2D;", "&#55296;", "&#1114112;", "&#0;", "&bad;", "&", "&#", ";"),
    *("http://a.cn/x", "https://", "://", "a+b.c-d://x?y=%20", "www.b.cn", "www.", "wwww.a", "ftp://,", "1a://b"),
    *("c@d.cn", "x.y%z@a-b.c.d", "@", "a@b", "a@b..c", "a@@b.c", ".com", "@a.b@c.d"),
    *("\u3000", " ", "\t", "\u200b", "\ufeff", "\u00ad", "\u0301", "\ufffd", "\x00", "\x7f", "\r", "\u2028", "\u0085"),
    *("ＡＢｃ", "１２：（", "㈱½㎡™ﬁ①", "İıſK", "中国股票", "𠮷𪚥", "🏀👍🏽🇨🇳", "\ue000", "\U0010ffff", "\U000e0001"),
    *("a" * 70, "x" * 513, ".a" * 12, "-" * 64, "\u4e2d" * 40),
)
# Overlong forms, surrogates, what lies beyond Unicode, sequences that break off.
BROKEN_BYTES = (
    *(b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80"),
    *(b"\xf5", b"\xff", b"\x80", b"\xe4", b"\xe4\xb8", b"\xf0\x9f", b"\xf0\x9f\x8f", b"\xc2", b"\xfe\xff"),
)


def dirty_lines(count: int, seed: int) -> Iterator[bytes]:
    """Lines of bytes, without newlines, that hold every plane, every pattern and every way of being invalid."""
    generator = random.Random(seed)
    kinds: tuple[Callable[[], bytes], ...] = (
        lambda: generator.choice(FRAGMENTS).encode(),
        lambda: generator.choice(FRAGMENTS).encode(),
        lambda: chr(generator.randrange(0x4E00, 0x9FA6)).encode(),
        lambda: chr(generator.randrange(0x20, 0x7F)).encode(),
        lambda: chr(generator.randrange(0x110000)).encode("utf-8", "surrogatepass"),
        lambda: chr(generator.randrange(0x3000)).encode(),
        lambda: generator.choice(BROKEN_BYTES),
        lambda: generator.randbytes(generator.randrange(1, 5)),
    )
    for _ in range(count):
        parts = (generator.choice(kinds)() for _ in range(generator.randrange(14)))
        yield b"".join(parts).replace(b"\n", b" ")


Run = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def classify(runtime: Path) -> Run:
    def run(bundle: Path, lines: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
        command: list[str | Path] = [runtime / "kuaixun-classify", "--bundle", bundle, *options]
        return subprocess.run(command, input=lines, capture_output=True, check=False)

    return run


def assert_same_dump(classify: Run, bundle: Bundle, lines: Sequence[bytes]) -> None:
    done = classify(bundle.path, b"".join(line + b"\n" for line in lines), "--dump")
    assert done.returncode == 0, done.stderr
    texts = [line.decode("utf-8", "replace") for line in lines]
    expected = (line for batch in in_batches(texts, 4096) for line in dumped_lines(batch, bundle.pipeline))
    for line, ours, theirs in zip(lines, done.stdout.splitlines(), expected, strict=True):
        assert ours == msgspec.json.encode(theirs), line


def test_cleaned_text_and_ids_are_the_same_for_any_bytes(classify: Run, bundle: Bundle) -> None:
    count = int(os.environ.get("KUAIXUN_PARITY_TEXTS", GENERATED_TEXTS))
    assert_same_dump(classify, bundle, list(dirty_lines(count, SEED)))


any_line = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(str.encode),
        st.sampled_from(FRAGMENTS).map(str.encode),
        st.sampled_from(BROKEN_BYTES),
        st.binary(max_size=6),
    ),
    max_size=8,
).map(lambda parts: b"".join(parts).replace(b"\n", b""))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(any_line, max_size=40))
def test_cleaned_text_and_ids_are_the_same_for_what_hypothesis_finds(
    classify: Run, bundle: Bundle, lines: list[bytes]
) -> None:
    assert_same_dump(classify, bundle, lines)


@pytest.fixture(scope="session")
def chinese_bundle(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A student whose texts begin and end with CLS and hold no Latin letters."""
    parameters = msgspec.structs.replace(checkpoint.record.text, prepend_cls=True, append_cls=True)
    parts = (checkpoint.pipeline.patterns, checkpoint.pipeline.vocabulary)
    pipeline = TextPipeline(parameters, unicode_table(drop_latin=True), *parts)
    record = msgspec.structs.replace(checkpoint.record, text=parameters)
    path = tmp_path_factory.mktemp("bundles") / "chinese"
    write_bundle(path, Checkpoint(record, pipeline, checkpoint.state))
    return read_bundle(path)


def test_with_cls_tokens_and_without_latin_letters_all_is_the_same(classify: Run, chinese_bundle: Bundle) -> None:
    lines = [text.replace("\n", " ").encode() for text in GOLDEN_TEXTS] + list(dirty_lines(5000, SEED + 2))
    assert_same_dump(classify, chinese_bundle, lines)
    done = classify(chinese_bundle.path, b"".join(line + b"\n" for line in lines), "--precision", "fp32")
    assert done.returncode == 0, done.stderr
    labels, scores = scores_of(done.stdout)
    texts = [line.decode("utf-8", "replace") for line in lines]
    expected_labels, expected_scores = scores_of(expected_lines(texts, chinese_bundle.path))
    assert labels == expected_labels
    assert None in labels
    assert np.abs(scores - expected_scores).max() <= 1.001e-6


def test_every_code_point_is_folded_alike(classify: Run, bundle: Bundle) -> None:
    assert_same_dump(
        classify,
        bundle,
        [f"a{chr(point)}b".encode("utf-8", "surrogatepass") for point in range(0x110000) if point != ord("\n")],
    )


def expected_lines(texts: Sequence[str], bundle: Path) -> bytes:
    classifier = open_classifier(bundle, engine="torchscript", device="cpu")
    answers = [answer for batch in in_batches(texts, 1024) for answer in label_lines(batch, classifier)]
    return b"".join(msgspec.json.encode(answer) + b"\n" for answer in answers)


@pytest.fixture(scope="session")
def answered(bundle_path: Path) -> tuple[bytes, bytes]:
    """Lines, and what `kuaixun-export classify` prints for them."""
    texts = [text.replace("\n", " ") for text in GOLDEN_TEXTS]
    texts += [line.decode("utf-8", "replace") for line in dirty_lines(3000, SEED + 1)]
    return "".join(text + "\n" for text in texts).encode(), expected_lines(texts, bundle_path)


def scores_of(lines: bytes) -> tuple[list[str | None], np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    """Labels (n,), and confidence beside scores (n, 1 + classes)."""
    answers = [json.loads(line) for line in lines.splitlines()]
    classes = max(len(answer["scores"]) for answer in answers)
    rows = [[answer["confidence"], *(list(answer["scores"].values()) or [0.0] * classes)] for answer in answers]
    return [answer["label"] for answer in answers], np.array(rows)


def test_single_precision_gives_the_answers_of_the_reference(
    classify: Run, bundle_path: Path, answered: tuple[bytes, bytes]
) -> None:
    lines, expected = answered
    done = classify(bundle_path, lines, "--precision", "fp32")
    assert done.returncode == 0, done.stderr
    labels, scores = scores_of(done.stdout)
    expected_labels, expected_scores = scores_of(expected)
    assert labels == expected_labels
    assert np.abs(scores - expected_scores).max() <= 1.001e-6
    # Biases added before rounding or after turn a last printed digit here and there; where no number differs, no byte.
    equal = (scores == expected_scores).all(axis=1)
    assert equal.mean() > 0.95
    for ours, theirs in compress(zip(done.stdout.splitlines(), expected.splitlines(), strict=True), equal):
        assert ours == theirs


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_rounded_tables_give_nearly_the_same_scores(
    classify: Run, bundle_path: Path, answered: tuple[bytes, bytes], precision: str
) -> None:
    lines, expected = answered
    _, scores = scores_of(classify(bundle_path, lines, "--precision", precision).stdout)
    assert np.abs(scores - scores_of(expected)[1]).max() < 0.02


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_answers_do_not_depend_on_the_batch_or_the_threads(
    classify: Run, bundle_path: Path, answered: tuple[bytes, bytes], precision: str
) -> None:
    content, _ = answered
    lines = [line + b"\n" for line in content.split(b"\n")[:-1]]
    whole = classify(bundle_path, content, "--precision", precision).stdout
    answers = whole.splitlines(keepends=True)
    assert classify(bundle_path, content, "--precision", precision, "--threads", "4").stdout == whole
    backwards = classify(bundle_path, b"".join(reversed(lines)), "--precision", precision).stdout
    assert backwards.splitlines(keepends=True) == answers[::-1]
    for line, answer in zip(lines[:30:3], answers[:30:3], strict=True):
        assert classify(bundle_path, line, "--precision", precision).stdout == answer


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_unless_told_otherwise_it_serves_in_the_precision_that_the_manifest_names(
    runtime: Path, classify: Run, bundle_path: Path, tmp_path: Path, answered: tuple[bytes, bytes], precision: str
) -> None:
    copy = Path(shutil.copytree(bundle_path, tmp_path / "copy"))
    rewrite_at(copy, ("precision", "default"), precision)
    answers = {name: classify(copy, answered[0], "--precision", name).stdout for name in ("fp32", "bf16", "int8")}
    assert len(set(answers.values())) == 3
    assert classify(copy, answered[0]).stdout == answers[precision]
    assert classify(copy, answered[0], "--precision", "auto").stdout == answers[precision]

    library = ctypes.CDLL(str(runtime / "libkuaixun.so"))
    logits = {}
    for code in (-1, ("fp32", "bf16", "int8").index(precision)):
        classifier = ctypes.c_void_p()
        assert library.kuaixun_open(bytes(copy), code, ctypes.byref(classifier), None, ctypes.c_size_t(0)) == 0
        ids, one, found = (ctypes.c_int32 * 3)(5, 6, 7), ctypes.c_size_t(1), (ctypes.c_double * 3)()
        assert library.kuaixun_logits(classifier, ids, one, ctypes.c_size_t(3), ctypes.c_uint(1), found) == 0
        library.kuaixun_close(classifier)
        logits[code] = list(found)
    assert logits.pop(-1) == logits.popitem()[1]


def test_the_c_interface_refuses_what_it_has_no_meaning_for(runtime: Path, bundle_path: Path) -> None:
    library = ctypes.CDLL(str(runtime / "libkuaixun.so"))
    one, thread, usage = ctypes.c_size_t(1), ctypes.c_uint(1), 2
    message = ctypes.create_string_buffer(200)
    assert library.kuaixun_open(bytes(bundle_path), 0, None, message, ctypes.c_size_t(200)) == usage
    assert b"no place" in message.value
    opened = ctypes.c_void_p()
    assert library.kuaixun_open(bytes(bundle_path), 0, ctypes.byref(opened), None, ctypes.c_size_t(0)) == 0
    without_bytes, text, found = CText(None, 3), CText(b"a", 1), ctypes.c_size_t()
    size = ctypes.byref(found)
    for classifier, texts in ((None, ctypes.byref(text)), (opened, None), (opened, ctypes.byref(without_bytes))):
        assert library.kuaixun_classify(classifier, texts, one, 0, thread, None, None, None, None) == usage
    for classifier, ids in ((None, (ctypes.c_int32 * 1)(3)), (opened, None)):
        assert library.kuaixun_logits(classifier, ids, one, one, thread, (ctypes.c_double * 3)()) == usage
    assert library.kuaixun_logits(opened, (ctypes.c_int32 * 1)(3), one, one, thread, None) == usage
    for classifier, one_text, sizes in (
        (None, text, (size, None, size, size)),
        (opened, without_bytes, (size, None, size, size)),
        (opened, text, (None, None, size, size)),
        (opened, text, (size, None, None, size)),
        (opened, text, (size, None, size, None)),
    ):
        assert library.kuaixun_encode(classifier, one_text, 0, None, *sizes) == usage
    for surrogates in (-1, 2):
        assert library.kuaixun_classify(opened, ctypes.byref(text), one, surrogates, thread, *[None] * 4) == usage
        assert library.kuaixun_encode(opened, text, surrogates, None, size, None, size, size) == usage
    library.kuaixun_close(opened)
    library.kuaixun_close(None)
    for name in ("classes", "max_tokens", "max_raw_chars", "model_id", "instruction_set"):
        assert not getattr(library, f"kuaixun_{name}")(None)
    library.kuaixun_label.restype = CText
    assert library.kuaixun_label(None, one).bytes is None


def test_the_c_interface_gives_what_the_program_prints(
    runtime: Path, bundle_path: Path, classify: Run, answered: tuple[bytes, bytes]
) -> None:
    library = ctypes.CDLL(str(runtime / "libkuaixun.so"))
    classifier = ctypes.c_void_p()
    assert library.kuaixun_open(bytes(bundle_path), 0, ctypes.byref(classifier), None, ctypes.c_size_t(0)) == 0
    lines = answered[0].split(b"\n")[:200]
    texts = (CText * len(lines))(*(CText(line, len(line)) for line in lines))
    label_ids = (ctypes.c_int32 * len(lines))()
    confidences = (ctypes.c_double * len(lines))()
    count, threads = ctypes.c_size_t(len(lines)), ctypes.c_uint(1)
    code = library.kuaixun_classify(classifier, texts, count, 0, threads, label_ids, confidences, None, None)
    assert code == 0
    printed = [
        json.loads(line)
        for line in classify(bundle_path, b"\n".join(lines) + b"\n", "--precision", "fp32").stdout.splitlines()
    ]
    assert list(confidences) == [answer["confidence"] for answer in printed]
    assert [label_id < 0 for label_id in label_ids] == [answer["label"] is None for answer in printed]

    beyond = (ctypes.c_int32 * 1)(1 << 20)
    one = ctypes.c_size_t(1)
    assert library.kuaixun_logits(classifier, beyond, one, one, threads, confidences) == 2
    # Rows of padding alone, which the bundle's width holds and one more does not.
    width = library.kuaixun_max_tokens(classifier)
    for wider, code in ((0, 0), (1, 2)):
        ids = (ctypes.c_int32 * (width + wider))()
        assert library.kuaixun_logits(classifier, ids, one, ctypes.c_size_t(len(ids)), threads, confidences) == code
    library.kuaixun_close(classifier)


@pytest.mark.parametrize(
    ("lines", "count"), [(b"", 0), (b"\n", 1), (b"a", 1), (b"a\n", 1), (b"a\n\n\r\n", 3), (b"\x00\n\xff", 2)]
)
def test_each_line_has_one_answer(classify: Run, bundle_path: Path, lines: bytes, count: int) -> None:
    assert classify(bundle_path, lines).stdout.count(b"\n") == count


def test_lines_that_are_there_already_are_labelled_together(runtime: Path, bundle_path: Path, tmp_path: Path) -> None:
    """On a socket that keeps packets apart, what is labelled together is one; a read brings 1,304 of these lines."""
    (tmp_path / "lines").write_bytes((b" " * 200 + b"\n") * 5000)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [str(runtime / "kuaixun-classify"), "--bundle", str(bundle_path), "--threads", "2"]
    with (
        (tmp_path / "lines").open("rb") as lines,
        subprocess.Popen(command, stdin=lines, stdout=theirs.fileno()) as program,
    ):
        theirs.close()
        counts = [packet.count(b"\n") for packet in iter(lambda: ours.recv(1 << 20), b"")]
        assert program.wait(60) == 0
    ours.close()
    assert (counts[0], sum(counts)) == (2 * 1024, 5000)


def test_a_long_line_is_read_to_the_same_length(classify: Run, bundle: Bundle) -> None:
    limit = bundle.manifest.text.max_raw_chars
    skipped = "\u200b" * (limit - 1)
    assert_same_dump(
        classify, bundle, [f"{skipped}中国{'x' * 700_000}".encode(), "𪚥".encode() * limit + b"\xf0", b"\xff" * 300_000]
    )


def test_a_bundle_with_one_byte_altered_is_refused(classify: Run, bundle_path: Path, tmp_path: Path) -> None:
    for file in sorted(bundle_path.iterdir()):
        copy = tmp_path / file.name
        shutil.copytree(bundle_path, copy)
        content = bytearray((copy / file.name).read_bytes())
        content[len(content) // 2] ^= 1
        (copy / file.name).write_bytes(content)
        done = classify(copy, b"a\n")
        assert done.returncode == 3
        assert file.name.encode() in done.stderr
        assert not done.stdout


def test_a_bundle_cut_short_is_refused(classify: Run, bundle_path: Path, tmp_path: Path) -> None:
    for file in sorted(bundle_path.iterdir()):
        copy = tmp_path / file.name
        shutil.copytree(bundle_path, copy)
        (copy / file.name).write_bytes(file.read_bytes()[:-1])
        done = classify(copy, b"a\n")
        assert done.returncode == 3
        assert file.name.encode() in done.stderr
        (copy / file.name).unlink()
        assert classify(copy, b"a\n").returncode == 3


def test_a_bundle_of_another_format_is_told_apart(classify: Run, bundle_path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(bundle_path, copy)
    manifest = json.loads((copy / "manifest.json").read_bytes())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "format_version": 2}))
    assert classify(copy, b"a\n").returncode == 4


def test_golden_cases_that_fail_are_named(classify: Run, bundle: Bundle, tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(bundle.path, copy)
    first, *others = (copy / "golden.jsonl").read_bytes().splitlines(keepends=True)
    case = json.loads(first)
    case["logits"][0] += 1.0
    content = msgspec.json.encode(case) + b"\n" + b"".join(others)
    rewrite(copy, {"golden.jsonl": content})
    for precision in ("fp32", "int8"):
        done = classify(copy, b"a\n", "--precision", precision)
        assert done.returncode == 3
        assert b"golden case 1" in done.stderr


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_it_says_how_far_the_golden_cases_are_met(runtime: Path, bundle: Bundle, precision: str) -> None:
    command: list[str | Path] = [runtime / "kuaixun-classify", "--bundle", bundle.path]
    command += ["--golden", "--precision", precision]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    engine, difference = open_and_compare(bundle, EngineChoice("native", "cpu", precision))
    assert done.stdout.startswith(f"golden cases on {engine.name}: largest logit difference ")
    assert float(done.stdout.split()[-1]) == difference


@pytest.mark.parametrize(("place", "value", "reason"), MANIFESTS)
def test_a_manifest_that_cannot_be_served_is_refused_however_well_it_hashes(
    classify: Run, bundle_path: Path, tmp_path: Path, place: tuple[str, ...], value: object, reason: str
) -> None:
    copy = Path(shutil.copytree(bundle_path, tmp_path / "bundle"))
    rewrite_at(copy, place, value)
    done = classify(copy, b"a\n")
    assert done.returncode == 3
    assert re.search(f"manifest.json is no sound manifest: .*{reason}", done.stderr.decode())


@pytest.mark.parametrize("content", TABLES)
def test_a_table_of_another_spelling_or_with_surrogates_is_refused(
    classify: Run, bundle_path: Path, tmp_path: Path, content: bytes
) -> None:
    copy = Path(shutil.copytree(bundle_path, tmp_path / "bundle"))
    rewrite_table(copy, content)
    done = classify(copy, b"a\n")
    assert done.returncode == 3
    assert b"codepoints.tsv is unusable" in done.stderr


def test_a_wrong_option_is_a_usage_error(classify: Run, bundle_path: Path) -> None:
    for options in (
        *(("--threads", number) for number in ("-1", "0", "1025", "x")),
        *(("--precision", "int4"), ("--threads",), ("--loud",), ("--bundle", ""), ("--golden", "--dump")),
    ):
        done = classify(bundle_path, b"a\n", *options)
        assert done.returncode == 2
        assert done.stderr.startswith(b"kuaixun-classify: ")
        assert options[0].encode() in done.stderr
        assert done.stderr.count(b"\n") == 1


def test_help_and_version_go_to_standard_output(runtime: Path) -> None:
    for option, start in (("--help", b"usage: kuaixun-classify --bundle"), ("--version", b"kuaixun-classify 0.")):
        done = subprocess.run([runtime / "kuaixun-classify", option], capture_output=True, check=True)
        assert done.stdout.startswith(start)
        assert done.stderr == b""
