"""What a host believes of a submission: who signed it, what it names, and the content of its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchharness.errors import SuiteError, UsageError
from tests.postgres import MISSING

pytest.importorskip("procrastinate", reason=MISSING)

from benchharness.farm import signing
from benchharness.farm.allowed import Allowed
from benchharness.farm.asking import wanted_of
from benchharness.farm.cache import Cache
from benchharness.farm.contents import code_of
from benchharness.farm.lease import Lease, now_s
from benchharness.farm.submission import File, Submission, Unbelievable, Written, write
from benchharness.suite.tables import Suite, load_suite

LABELS = {"hardware": "pixel-8", "device": "pixel-1", "soc": "sm8650"}
SUITE = """
name = "phones"
[models.chat]
evaluation = "data.npz"
reference = "fp32"
[models.chat.variants.fp32]
artefact = "model.onnx"
[models.chat.variants.int8]
artefact = "small/int8.onnx"
[[configurations]]
python = "tflite"
library = "plugin"
accelerator = "gpu"
options = { custom_op_libraries = ["ops"], level = 3 }
[[workloads]]
prompt = { file = "prompt.txt" }
[scenarios.steady]
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A suite with its files."""
    place = tmp_path / "home"
    (place / "small").mkdir(parents=True)
    for name, content in (("model.onnx", b"as exported"), ("small/int8.onnx", b"smaller"), ("data.npz", b"data")):
        (place / name).write_bytes(content)
    (place / "prompt.txt").write_text("Hello")
    (place / "phones.toml").write_text(SUITE)
    return place


@pytest.fixture
def written(home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Written]:
    """Writes the suite; its files are no models that an adapter could open."""
    from benchharness.farm import submission
    from benchharness.suite.artefact import DigestCache, manifest_of

    class Gathered:
        def __init__(self, suite: Suite, cache: DigestCache) -> None:
            paths = [variant.artefact for model in suite.models.values() for variant in model.variants.values()]
            self.manifests = {path: manifest_of(path, cache) for path in paths}

    monkeypatch.setattr(submission, "gather", Gathered)

    def make(**changes: Any) -> Written:
        given = {"by": "ann", "wanted": [{"hardware": "pixel-8"}], "at_home": home, **changes}
        return write(load_suite(home / "phones.toml"), **given)

    return make


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "ann").mkdir()
    return {"ann": signing.create(tmp_path / "ann")}


@pytest.fixture
def allowed(keys: dict[str, str]) -> Allowed:
    libraries = {"plugin": "/opt/plugin.so", "gpu": "/opt/gpu.so", "ops": "/opt/ops.so"}
    return Allowed(keys=keys, interpreters={"tflite": "/opt/tflite/bin/python"}, libraries=libraries)


def signed(tmp_path: Path, told: str) -> str:
    return signing.sign(tmp_path / "ann", told)


def changed(told: str, change: Callable[[dict[str, Any]], object]) -> str:
    said = json.loads(told)
    change(said)
    return json.dumps(said)


def test_a_submission_holds_no_path_of_its_writers_and_gets_those_of_its_host(
    written: Callable[..., Written], allowed: Allowed, tmp_path: Path, home: Path
) -> None:
    made = written()
    assert str(home) not in made.told
    found = allowed.submission(made.told, signed(tmp_path, made.told), "ann", LABELS)
    assert sorted(each.path for each in found.files) == sorted(
        ["files/0/data.npz", "files/1/model.onnx", "files/2/int8.onnx", "files/3/prompt.txt"]
    )
    assert {Path(path).read_bytes() for path in made.files.values()} == {b"as exported", b"smaller", b"data", b"Hello"}
    (suite,) = allowed.suites(found, tmp_path / "job")
    (configuration,) = suite.configurations
    assert (str(configuration.python), str(configuration.library)) == ("/opt/tflite/bin/python", "/opt/plugin.so")
    assert configuration.accelerator == ("/opt/gpu.so",)
    assert configuration.options == {"custom_op_libraries": ["/opt/ops.so"], "level": 3}
    assert suite.models["chat"].variants["int8"].artefact == tmp_path / "job" / "files/2/int8.onnx"
    assert suite.workloads[0].prompt is not None
    assert suite.workloads[0].prompt.file == tmp_path / "job" / "files/3/prompt.txt"


def test_a_path_of_an_interpreter_is_refused_where_it_is_submitted(home: Path, written: Callable[..., Written]) -> None:
    (home / "phones.toml").write_text(SUITE.replace('python = "tflite"', 'python = "/usr/bin/python3"'))
    with pytest.raises(SuiteError, match=r'give a name, python = "python3"'):
        written()


def test_a_command_for_the_device_is_refused_where_it_is_submitted(home: Path, written: Callable[..., Written]) -> None:
    application = '[scenarios.constrained.foreground.maps]\nstart = ["am", "start", "-n", "com.maps/.Main"]\n'
    (home / "phones.toml").write_text(SUITE + application)
    with pytest.raises(
        SuiteError, match=r"scenarios.constrained starts 'am': commands of a suite are not run on a farm's"
    ):
        written()


def test_who_is_not_on_the_list_is_refused_and_so_is_a_changed_text(
    written: Callable[..., Written], allowed: Allowed, tmp_path: Path
) -> None:
    told = written().told
    signature = signed(tmp_path, told)
    assert allowed.submission(told, signature, "ann", LABELS).name == "phones"
    for text, by, signer in (
        (changed(told, lambda said: said.update(name="other")), signature, "ann"),
        (told, signature, "bob"),
        (told, "", "ann"),
        (told, "AAAA", "ann"),
    ):
        with pytest.raises(Unbelievable, match="not signed by a key of this host's list"):
            allowed.submission(text, by, signer, LABELS)
    with pytest.raises(Unbelievable, match="not signed by a key"):
        Allowed().submission(told, signature, "ann", LABELS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"by": "bob"}, "ann signed what bob wrote"),
        ({"until": (datetime.now(UTC) - timedelta(seconds=1)).isoformat()}, "its signature was good until"),
        ({"wanted": [{"hardware": "other"}]}, "not written for this device"),
        ({"format": 2}, "format 2: this host reads 1"),
        ({"id": "../../etc"}, "no submission"),
        ({"suite": 5}, "no submission"),
        ({"files": [{"path": "files/0/../../x", "sha256": "", "bytes": 1}]}, "outside of its own files"),
        ({"files": [{"path": "/etc/passwd", "sha256": "", "bytes": 1}]}, "outside of its own files"),
        ({"files": [{"path": "files\\..\\..\\x", "sha256": "", "bytes": 1}]}, "outside of its own files"),
        ({"files": [{"path": "files/0/x", "sha256": "../../home/desk/x", "bytes": 1}]}, "a digest that is none"),
        ({"files": [{"path": "files/0/x", "sha256": "0" * 64, "bytes": -1}]}, "a file of -1 bytes"),
        ({"files": [{"path": "files/0/x", "sha256": "0" * 64, "bytes": "1"}]}, "a file of 1 bytes"),
        (
            {"files": [{"path": f"files/0/{x}", "sha256": "0" * 64, "bytes": 1} for x in "xX"]},
            "some disks take for one",
        ),
        ({"files": [{"path": f"files/{at}/x", "sha256": "0" * 64, "bytes": 1} for at in range(20_001)]}, "20001 files"),
    ],
)
def test_a_signed_text_is_looked_at_all_the_same(
    written: Callable[..., Written], allowed: Allowed, tmp_path: Path, change: Mapping[str, Any], words: str
) -> None:
    told = changed(written().told, lambda said: said.update(change))
    with pytest.raises(Unbelievable, match=words):
        allowed.submission(told, signed(tmp_path, told), "ann", LABELS)


def _of_suite(key: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda said: said["suite"]["configurations"][0].update({key: value})


def _sealed(key_from: str) -> Callable[[dict[str, Any]], object]:
    """The second variant as one that is sealed."""

    def change(said: dict[str, Any]) -> None:
        variant = said["suite"]["models"]["chat"]["variants"]["int8"]
        variant.update(artefact=f"{variant['artefact']}.sealed", key_from=key_from)

    return change


def test_a_key_is_found_where_the_host_lists_it(
    written: Callable[..., Written], allowed: Allowed, tmp_path: Path
) -> None:
    told = changed(written().told, _sealed("env:MODEL_KEY"))
    here = allowed.model_copy(update={"key_sources": ("env:MODEL_KEY",)})
    found = here.submission(told, signed(tmp_path, told), "ann", LABELS)
    (suite,) = here.suites(found, tmp_path / "job")
    assert suite.models["chat"].variants["int8"].key_from == "env:MODEL_KEY"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_sealed("command:rm -rf ."), "command:rm -rf . is not in this host's key_sources"),
        (_sealed("env:OTHERS_KEY"), "env:OTHERS_KEY is not in this host's key_sources"),
        (_of_suite("python", "/bin/sh"), r"/bin/sh is not in this host's \[interpreters\]"),
        (_of_suite("library", "other"), r"other is not in this host's \[libraries\]"),
        (_of_suite("accelerator", "/tmp/evil.so"), "a path outside of its own files"),
        (_of_suite("accelerator", ["cpu", "evil.so"]), "a path outside of its own files"),
        (_of_suite("options", {"plugin": "libevil.so.1"}), "a path outside of its own files"),
        (_of_suite("options", {"custom_op_libraries": ["/tmp/evil.so"]}), r"is not in this host's \[libraries\]"),
        (_of_suite("options", {"deep": [{"profile": "../x"}]}), "a path outside of its own files"),
        (_of_suite("accelerator_options", {"backend_path": "/x"}), "a path outside of its own files"),
        (_of_suite("threads", "many"), "its suite is none here"),
        (_of_suite("runtime", "native-program"), "native-program is not in this host's runtimes"),
        (_of_suite("runtime", "cloud"), "cloud is not in this host's runtimes"),
        (_of_suite("options", {"program": "rm"}), r"rm is not in this host's \[libraries\]"),
        (_of_suite("options", {"environment": {"LD_PRELOAD": "x"}}), "it sets environment variables"),
        (
            lambda said: said["suite"]["scenarios"].update(
                {"constrained": {"foreground": {"x": {"start": ["sh", "-c", "id"], "settle": 1.0}}}}
            ),
            "constrained starts a program: sh",
        ),
        (lambda said: said["suite"].update(compared={"base": {}}), "says itself what it is compared with"),
    ],
)
def test_a_suite_names_nothing_but_what_its_host_allows(
    written: Callable[..., Written],
    allowed: Allowed,
    tmp_path: Path,
    change: Callable[[dict[str, Any]], object],
    words: str,
) -> None:
    told = changed(written().told, change)
    found = allowed.submission(told, signed(tmp_path, told), "ann", LABELS)
    with pytest.raises(Unbelievable, match=words):
        allowed.suites(found, tmp_path / "job")


@pytest.mark.parametrize("where", ["artefact", "evaluation", "prompt"])
def test_a_suites_file_is_one_of_its_own(written: Callable[..., Written], tmp_path: Path, where: str) -> None:
    def change(said: dict[str, Any]) -> None:
        holder = {
            "artefact": said["suite"]["models"]["chat"]["variants"]["fp32"],
            "evaluation": said["suite"]["models"]["chat"],
            "prompt": said["suite"]["workloads"][0]["prompt"],
        }[where]
        holder["file" if where == "prompt" else where] = "/etc/shadow"

    with pytest.raises(Unbelievable, match="outside of its own files"):
        Submission.read(changed(written().told, change))


# Files that scenarios name


TALK = '{"text": "Hello", "answer_tokens": 8}\n'


@pytest.fixture
def talking(home: Path) -> Path:
    """The same suite with a conversation, prompts for a cloud, and two datasets, of which one has Python."""
    (home / "talk.jsonl").write_text(TALK)
    for name, after in (("plain", ""), ("coded", 'after = "after.py:boxes"')):
        (home / name).mkdir()
        text = f'name = "{name}"\nlicence = "CC0"\nmeasure = "accuracy"\n{after}\n'
        (home / name / "dataset.toml").write_text(text)
        (home / name / "documents.jsonl").write_text('{"label": 1}\n')
    (home / "coded" / "after.py").write_text("boxes = print\n")
    return home


def _asking(talking: Path, scenarios: str) -> None:
    (talking / "phones.toml").write_text(SUITE.replace("[scenarios.steady]\n", scenarios))


CONVERSATION = '[scenarios.conversation]\nfile = "talk.jsonl"\n'
TASK = '[scenarios.task]\ntrust_code = true\ndatasets = ["plain", "coded"]\n'


def test_files_of_scenarios_come_along_as_models_do(
    talking: Path, written: Callable[..., Written], allowed: Allowed, tmp_path: Path
) -> None:
    _asking(talking, CONVERSATION + TASK.replace(', "coded"', "") + '[scenarios.hybrid]\nprompts = "talk.jsonl"\n')
    made = written()
    assert str(talking) not in made.told
    assert code_of(made.listed, made.files, [load_suite(talking / "phones.toml")]) == {}
    here = allowed.model_copy(update={"scenarios": ("task", "hybrid")})
    found = here.submission(made.told, signed(tmp_path, made.told), "ann", LABELS)
    assert {Path(each.path).name for each in found.files} >= {"talk.jsonl", "dataset.toml", "documents.jsonl"}
    assert sum(Path(each.path).name == "talk.jsonl" for each in found.files) == 1  # two name it, one comes
    job = tmp_path / "job"
    Cache(tmp_path / "cache").place(found.files, job, lambda digest, _: made.files[digest].read_bytes())
    (suite,) = here.suites(found, job)
    asked: dict[str, Any] = {scenario.name: settings for scenario, settings in suite.scenarios.asked()}
    assert asked["conversation"].file.read_text() == TALK
    assert asked["conversation"].file.is_relative_to(job)
    assert asked["hybrid"].prompts == asked["conversation"].file
    assert [each.name for each in asked["task"].datasets[0].iterdir()] == ["dataset.toml", "documents.jsonl"]


@pytest.mark.parametrize("path", ["/etc/passwd", "files/0/../../../etc/passwd", "talk.jsonl", "~/talk.jsonl"])
def test_a_scenarios_file_is_one_of_its_own(talking: Path, written: Callable[..., Written], path: str) -> None:
    _asking(talking, CONVERSATION + TASK)
    for change in (
        lambda said: said["suite"]["scenarios"]["conversation"].update(file=path),
        lambda said: said["suite"]["scenarios"]["task"].update(datasets=path),  # and not in a list, as it is stored
        lambda said: said["suite"]["scenarios"]["task"].update(task_folder=path),
    ):
        with pytest.raises(Unbelievable, match="outside of its own files"):
            Submission.read(changed(written().told, change))


def test_what_is_signed_covers_files_of_scenarios(
    talking: Path, written: Callable[..., Written], allowed: Allowed, tmp_path: Path
) -> None:
    _asking(talking, CONVERSATION)
    made = written()
    found = allowed.submission(made.told, signed(tmp_path, made.told), "ann", LABELS)

    def other(digest: str, part: int) -> bytes | None:
        content = made.files[digest].read_bytes()
        return content.replace(b'"Hello"', b'"Jello"') if part == 0 else None

    with pytest.raises(Unbelievable, match=r"talk\.jsonl: its content has the digest"):
        Cache(tmp_path / "cache").place(found.files, tmp_path / "job", other)


def test_code_is_made_only_where_a_host_lists_it(
    talking: Path, written: Callable[..., Written], allowed: Allowed, tmp_path: Path
) -> None:
    _asking(talking, TASK)
    made = written()
    digest = hashlib.sha256(b"boxes = print\n").hexdigest()
    assert code_of(made.listed, made.files, [load_suite(talking / "phones.toml")]).keys() == {digest}
    here = allowed.model_copy(update={"scenarios": ("task",)})
    found = here.submission(made.told, signed(tmp_path, made.told), "ann", LABELS)
    job = tmp_path / "job"
    Cache(tmp_path / "cache").place(found.files, job, lambda digest, _: made.files[digest].read_bytes())
    with pytest.raises(Unbelievable, match=rf"after\.py is code, .* is not in this host's code: {digest}$"):
        here.suites(found, job)
    (suite,) = here.model_copy(update={"code": (digest,)}).suites(found, job)
    assert len(suite.scenarios.task.datasets) == 2
    with pytest.raises(Unbelievable, match="task is not in this host's scenarios"):
        allowed.model_copy(update={"code": (digest,)}).suites(found, job)


#: Windows' own: two letters, and at 0x3c where its four are.
WINDOWS = b"MZ" + bytes(58) + (64).to_bytes(4, "little") + b"PE\0\0"


def model_folder(talking: Path, beside: str, content: bytes) -> None:
    """The first variant as a folder of a model with something beside it."""
    (talking / "chat").mkdir()
    (talking / "chat" / "model.onnx").write_bytes(b"as exported")
    (talking / "chat" / beside).write_bytes(content)
    (talking / "phones.toml").write_text(
        SUITE.replace('artefact = "model.onnx"', 'artefact = "model.onnx"\ntokenizer = "chat"')
    )


@pytest.mark.parametrize(
    ("beside", "content"),
    [
        ("weights.bin", b"\x7fELF\x02\x01"),  # `custom_ops_library` of a generator's settings may name it
        ("tokenizer.json", b"\xcf\xfa\xed\xfe"),
        ("notes.txt", WINDOWS),
        ("libops.so.1.2", b"text"),
        ("EVIL.PY", b"import os"),
        ("evil.pth", b"import os"),
        ("evil.whl", b"PK\x03\x04"),
    ],
)
def test_code_is_known_whatever_it_is_called(
    talking: Path, written: Callable[..., Written], allowed: Allowed, tmp_path: Path, beside: str, content: bytes
) -> None:
    model_folder(talking, beside, content)
    made = written()
    digest = hashlib.sha256(content).hexdigest()
    assert code_of(made.listed, made.files, [load_suite(talking / "phones.toml")]).keys() == {digest}
    found = allowed.submission(made.told, signed(tmp_path, made.told), "ann", LABELS)
    job = tmp_path / "job"
    Cache(tmp_path / "cache").place(found.files, job, lambda digest, _: made.files[digest].read_bytes())
    with pytest.raises(Unbelievable, match=rf"{beside} is code, .*: {digest}$"):
        allowed.suites(found, job)
    allowed.model_copy(update={"code": (digest,)}).suites(found, job)


def test_weights_that_begin_with_two_letters_are_weights(
    talking: Path, written: Callable[..., Written], allowed: Allowed, tmp_path: Path
) -> None:
    model_folder(talking, "weights.bin", b"MZ" + bytes(range(256)))
    made = written()
    assert code_of(made.listed, made.files, [load_suite(talking / "phones.toml")]) == {}


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        (b'{"model": {"decoder": {"session_options": {"custom_ops_library": "/tmp/x"}}}}', True),
        (b'{"model": {"decoder": {"session_options": {"custom\\u005fops_library": "x"}}}}', True),
        (b"{" * 100_000, True),
        (b'{"model": {"context_length": 2048}}', False),
    ],
)
def test_a_models_settings_name_no_library(
    talking: Path, written: Callable[..., Written], allowed: Allowed, tmp_path: Path, settings: bytes, refused: bool
) -> None:
    model_folder(talking, "genai_config.json", settings)
    made = written()
    found = allowed.submission(made.told, signed(tmp_path, made.told), "ann", LABELS)
    job = tmp_path / "job"
    Cache(tmp_path / "cache").place(found.files, job, lambda digest, _: made.files[digest].read_bytes())
    if not refused:
        allowed.suites(found, job)
        return
    with pytest.raises(Unbelievable, match=r"genai_config\.json names a library"):
        allowed.suites(found, job)


def test_all_that_lies_among_lm_evals_task_files_is_code(
    talking: Path, written: Callable[..., Written], allowed: Allowed, tmp_path: Path
) -> None:
    (talking / "tasks").mkdir()
    (talking / "tasks" / "own.yaml").write_text("task: own\n")
    _asking(talking, TASK.replace(', "coded"', "") + 'tasks = ["own"]\ntask_folder = "tasks"\n')
    made = written()
    here = allowed.model_copy(update={"scenarios": ("task",)})
    found = here.submission(made.told, signed(tmp_path, made.told), "ann", LABELS)
    job = tmp_path / "job"
    Cache(tmp_path / "cache").place(found.files, job, lambda digest, _: made.files[digest].read_bytes())
    with pytest.raises(Unbelievable, match=r"own\.yaml is code"):
        here.suites(found, job)


def test_a_cloud_gets_a_key_only_where_a_host_lists_it(
    talking: Path, written: Callable[..., Written], allowed: Allowed, tmp_path: Path
) -> None:
    """An endpoint's file names the variable that its key is in, and where the key is sent to."""
    (talking / "far.endpoint").write_text('{"url": "https://evil.example/v1", "model": "x", "key": "AWS_SECRET"}')
    (talking / "phones.toml").write_text(SUITE.replace('artefact = "model.onnx"', 'artefact = "far.endpoint"'))
    made = written()
    found = allowed.submission(made.told, signed(tmp_path, made.told), "ann", LABELS)
    job = tmp_path / "job"
    Cache(tmp_path / "cache").place(found.files, job, lambda digest, _: made.files[digest].read_bytes())
    with pytest.raises(Unbelievable, match=r"far\.endpoint asks for the key env:AWS_SECRET, which is not in this host"):
        allowed.suites(found, job)
    allowed.model_copy(update={"key_sources": ("env:AWS_SECRET",)}).suites(found, job)


# Files


def of(content: bytes, path: str = "files/0/model.onnx") -> File:
    return File(path=path, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def test_a_file_comes_over_the_line_once_and_is_looked_at_each_time(tmp_path: Path) -> None:
    content = b"weights" * 1000
    asked: list[int] = []

    def fetch(digest: str, part: int) -> bytes | None:
        asked.append(part)
        return content[part * 3000 : (part + 1) * 3000] or None

    cache = Cache(tmp_path / "cache")
    cache.place([of(content)], tmp_path / "one", fetch)
    cache.place([of(content, "files/7/other.onnx")], tmp_path / "two", fetch)
    assert asked == [0, 1, 2]
    assert (tmp_path / "one/files/0/model.onnx").read_bytes() == content
    assert (tmp_path / "two/files/7/other.onnx").read_bytes() == content
    kept = tmp_path / "cache" / of(content).sha256
    kept.unlink()
    kept.write_bytes(b"damaged")
    cache.place([of(content)], tmp_path / "three", fetch)
    assert (tmp_path / "three/files/0/model.onnx").read_bytes() == content
    assert len(asked) == 6


@pytest.mark.parametrize("content", [b"something else", b"", b"weight"])
def test_a_file_with_another_digest_is_refused(tmp_path: Path, content: bytes) -> None:
    cache = Cache(tmp_path / "cache")
    with pytest.raises(Unbelievable, match="its content has the digest"):
        cache.place([of(b"weights")], tmp_path / "one", lambda _, part: content if part == 0 else None)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["used.json"]


def test_a_file_that_is_in_a_root_needs_no_line(tmp_path: Path) -> None:
    (tmp_path / "models/deep").mkdir(parents=True)
    (tmp_path / "models/deep/any.bin").write_bytes(b"weights")
    (tmp_path / "models/same-size.bin").write_bytes(b"Weights")
    cache = Cache(tmp_path / "cache", [tmp_path / "models"])

    def fetch(digest: str, part: int) -> bytes | None:
        raise AssertionError("it is there")

    cache.place([of(b"weights")], tmp_path / "one", fetch)
    assert (tmp_path / "one/files/0/model.onnx").read_bytes() == b"weights"


# Words


def test_what_is_wanted() -> None:
    known = ["pi-1"]
    assert wanted_of("pi-1, pixel-8", None, known) == [{"device": "pi-1"}, {"hardware": "pixel-8"}]
    assert wanted_of(None, "soc=sm8650,ram=8", known) == [{"soc": "sm8650", "ram": "8"}]
    assert wanted_of("pixel-8", "soc=x", known) == [{"soc": "x", "hardware": "pixel-8"}]
    for on, where in ((None, None), ("", " "), (None, "soc"), (None, "=x")):
        with pytest.raises(UsageError):
            wanted_of(on, where, known)


def test_a_lease_that_lapsed_is_not_renewed() -> None:
    lease = Lease(now_s(), 30)
    assert 29 < lease.left_s <= 30
    lease.renewed(now_s() - 5, 30)
    assert lease.left_s <= 25
    over = Lease(now_s() - 10, 5)
    assert over.left_s < 0
    over.renewed(now_s(), 30)
    assert over.left_s < 0


def test_nights_begin_when_it_is_time() -> None:
    from benchharness.farm.nights import check, is_due

    at = datetime(2026, 3, 4, 5, 0, tzinfo=UTC)
    assert not is_due("0 2 * * *", at, at + timedelta(hours=20))
    assert is_due("0 2 * * *", at, at + timedelta(hours=21))
    assert check("*/5 1-3 * * 1") == "*/5 1-3 * * 1"
    for wrong in ("nightly", "0 2 * *", "61 2 * * *", "0 2 * * * 5"):
        with pytest.raises(UsageError, match="is no schedule"):
            check(wrong)
