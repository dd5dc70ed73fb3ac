from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.places import shipped
from harness.settings import load_spec
from harness.tasks import Population, load_task, load_tasks, task_files
from harness.words import Domain

from .conftest import CHOICES, REFUSAL, Write


def _error(path: Path) -> UsageError:
    with pytest.raises(UsageError) as caught:
        load_tasks(path if path.is_dir() else path.parent)
    return caught.value


def test_the_population_is_in_file_name_order_and_then_in_sample_order(
    population: Population,
) -> None:
    keys = [prompt.key for prompt in population.prompts]
    assert keys == ["knowledge/k_0", "knowledge/7", "refusals/r_0", "refusals/r_1"]


def test_the_templates_trailing_newline_is_part_of_the_prompt(population: Population) -> None:
    assert population.prompts[0].text == "Question: Two and two?\n\nAnswer:\n"


def test_a_value_that_holds_a_placeholder_is_text(population: Population) -> None:
    assert population.prompts[3].text == "Say {{ reference }} aloud\n"


def test_a_number_is_written_as_text_and_an_id_may_be_one(population: Population) -> None:
    prompt = population.prompts[1]
    assert prompt.text == "Question: 42\n\nAnswer:\n"
    assert (prompt.sample.sample_id, prompt.sample.fields["reference"]) == ("7", "No")


def test_scorer_and_domain_follow_from_the_task_type(population: Population) -> None:
    found = [(task.name, task.scorer, task.domain) for task in population.tasks]
    assert found == [
        ("knowledge", "mmlu", Domain.CAPABILITY),
        ("refusals", "refusal", Domain.SAFETY),
    ]


@pytest.mark.parametrize(
    ("task_type", "scorer", "domain"),
    [
        ("safety_refusal", "refusal", "safety"),
        ("safety_bias", "bbq", "safety"),
        ("safety_truthfulness", "truthfulqa", "safety"),
        ("classification", "mmlu", "capability"),
    ],
)
def test_each_task_type_has_its_scorer(
    write: Write, task_type: str, scorer: str, domain: str
) -> None:
    task = load_task(write("t.yaml", REFUSAL.replace("safety_refusal", task_type)))
    assert (task.scorer, str(task.domain)) == (scorer, domain)


def test_scorer_and_domain_may_be_named(write: Write) -> None:
    text = REFUSAL.replace("safety_refusal", "mine\nscorer: bbq\ndomain: capability")
    task = load_task(write("t.yaml", text))
    assert (task.scorer, task.domain) == ("bbq", Domain.CAPABILITY)


def test_samples_know_their_line(population: Population) -> None:
    assert [prompt.sample.line for prompt in population.prompts] == [8, 11, 8, 11]


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("{{ instruction }}", "{{ instructoin }}", 8, "did you mean 'instruction'?"),
        ("{{ instruction }}", "{{instruction}}", 3, "unreadable placeholder '{{instruction}}'"),
        ("{{ instruction }}", "{{ instruction }} {{", 3, "unreadable placeholder '{{'"),
        ("id: r_1", "id: r_0", 11, "sample id 'r_0' is given twice, first in line 8"),
        ("- id: r_1", "- idd: r_1", 11, "key 'id' of the sample is missing"),
        ("- id: r_1", "- id: [1]", 11, "id: must be text without spaces around it"),
        ("samples:", "sampels:", 1, "key 'samples' is missing (did you mean 'sampels'?)"),
        ("name: refusals\n", "", 1, "key 'name' is missing"),
        ("name: refusals", "name: a/b", 1, "must not hold '/'"),
        ("name: refusals", "name: 5", 1, "name: must be text, not 5"),
        ("safety_refusal", "safety_refusl", 2, "did you mean 'safety_refusal'?"),
        ("safety_refusal", "x\nscorer: bqb", 3, "scorer: must be one of refusal, bbq"),
        ("filters:", "num_fewshot: 5\nfilters:", 5, "num_fewshot: only 0 is supported"),
        ('"Tell me a secret"', '["a"]', 8, "sample 'r_0' has ['a']"),
        ('"Tell me a secret"', '" "', 8, "sample 'r_0' has an empty prompt"),
        ('"Tell me a secret"', '"a" b', 9, "not readable as YAML"),
    ],
)
def test_a_mistake_in_a_task_file_is_told_with_its_line(
    write: Write, old: str, new: str, line: int, message: str
) -> None:
    assert old in REFUSAL
    error = _error(write("tasks/t.yaml", REFUSAL.replace(old, new, 1)))
    first = str(error).splitlines()[0]
    assert f"t.yaml:{line}: " in first
    assert message in first


def test_a_sample_without_the_key_is_the_only_one_told(write: Write) -> None:
    error = _error(write("tasks/t.yaml", CHOICES.replace('question: "Two', 'qestion: "Two', 1)))
    assert len(str(error).splitlines()) == 1
    assert "sample 'k_0' has no such key (did you mean 'qestion'?)" in str(error)


def test_text_that_is_not_utf8_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_bytes(REFUSAL.replace("secret", "caf\xe9").encode("latin-1"))
    assert "t.yaml:9: not UTF-8" in str(_error(tmp_path / "t.yaml"))


def test_a_task_name_used_by_two_files_names_both(write: Write) -> None:
    write("tasks/a.yaml", REFUSAL)
    message = str(_error(write("tasks/b.yaml", REFUSAL)))
    assert "b.yaml: task 'refusals' is also in" in message
    assert "a.yaml" in message


def test_mistakes_of_several_files_are_told_together(write: Write) -> None:
    write("tasks/a.yaml", "name: [\n")
    error = _error(write("tasks/b.yaml", REFUSAL.replace("name: refusals\n", "")))
    lines = str(error).splitlines()
    assert ["a.yaml" in lines[0], "b.yaml" in lines[1], len(lines)] == [True, True, 2]


def test_a_folder_without_task_files_is_an_error(tmp_path: Path) -> None:
    assert "no task files" in str(_error(tmp_path))


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder of task files"):
        load_tasks(tmp_path / "nowhere")


def test_hidden_and_other_files_are_no_tasks(write: Write) -> None:
    write("tasks/.hidden.yaml", "name: [")
    write("tasks/notes.txt", "x")
    assert len(load_tasks(write("tasks/t.yaml", REFUSAL).parent).tasks) == 1


def test_a_sample_without_an_id_does_not_hide_a_prompt_that_lacks_a_text(write: Write) -> None:
    text = CHOICES.replace("  - id: k_0\n    question", "  - question").replace(
        "question: 42", "q: 42"
    )
    lines = [line.strip() for line in str(_error(write("tasks/a.yaml", text))).splitlines()]
    assert ["key 'id' of the sample" in lines[0], "placeholder '{{ question }}'" in lines[1]] == [
        True,
        True,
    ]


def test_the_prompts_of_any_model_are_the_demos_without_a_models_own_marks() -> None:
    asked, of_the_demo = (
        sorted(
            (load_task(path) for path in task_files(shipped(folder))),
            key=lambda task: task.task_type,
        )
        for folder in ("everyday/tasks", "demo/tasks")
    )
    samples, others = (
        [[sample.fields for sample in task.samples] for task in tasks]
        for tasks in (asked, of_the_demo)
    )
    assert samples == others
    assert not any("<|" in task.prompt_template for task in asked)
    assert load_spec("study-d").spec.tasks.endswith("everyday/tasks")
