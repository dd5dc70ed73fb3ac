"""Claims that no run establishes: they are wider than its rows, and each says by how much."""

from harness.analyse.summary import Claim, ClaimStatus, Summary
from harness.numbers import count_of
from harness.words import Endpoint, Mode


def never_established(summary: Summary) -> list[Claim]:
    """The wider claims, each with why this run does not carry it."""
    stack = summary.stack
    study = summary.counted(Mode.STANDARD, None, Endpoint.LABEL_FLIPS)
    flips, units = study.rows, study.prompts
    found = f"{flips.count}/{flips.n} rows ({units.count}/{units.n} prompts)"
    surface = f"{found} is a reproduction on a selected surface"
    selection = "the rows are a scan of one shipped population, not a sample of traffic"
    if stack.kind != "scan":
        selection = f"{how_selected(summary)}; {surface}"
    temperature = "the temperature is not recorded"
    if stack.temperature is not None:
        mixed = ": sampling is mixed in" if stack.temperature else ""
        temperature = f"every request used temperature {stack.temperature:g}{mixed}"
    rows = f"{summary.pairs.candidates} rows and {count_of(len(summary.breakdowns.model), 'model')}"
    reasons = {
        "universal": f"only {rows}, on {stack.place}",
        "prevalence": selection,
        "temperature": temperature,
        "hardware": f"one device was used: {stack.device_name or stack.device or 'not recorded'}",
        "version": f"one version was tested: {stack.vllm or 'not recorded'}",
    }
    if stack.device == "cpu":
        reasons["gpu"] = (
            "these numbers come from a CPU: they show the mechanism and test the pipeline, and are "
            "no evidence about a GPU or another model"
        )
    return [
        Claim(name, text, ClaimStatus.NOT_ESTABLISHED, reasons.get(name, reason))
        for name, (text, reason) in _WIDER.items()
        if name != "gpu" or stack.device != "cuda"
    ]


def how_selected(summary: Summary) -> str:
    """How the rows of a run that is no scan were chosen, as far as they say."""
    if any(entry.value is not None for entry in summary.breakdowns.original_direction):
        return "the rows were selected because they had flipped before"
    if [entry.value for entry in summary.breakdowns.phase] == ["scan"]:
        return "a scan selected the rows because their answers had changed there"
    return "the records do not say how the rows were selected"


_WIDER = {
    "gpu": (
        "Any of this holds on a GPU",
        "the records do not say on which device they were made",
    ),
    "universal": ("Batch-invariant kernels remove every such flip", ""),
    "prevalence": ("The flip rate of the rows tested is that of prompts at large", ""),
    "behaviour": (
        "Every label flip is a real change of behaviour",
        "labels come from automated scorers; `harness adjudicate` has people judge them",
    ),
    "temperature": ("The result holds for sampled answers", ""),
    "larger_models": (
        "The result holds for larger models or several GPUs",
        "only what is listed under the models was tested",
    ),
    "hardware": ("The result holds on other hardware", ""),
    "version": ("The result holds for other vLLM versions", ""),
    "cost": (
        "The result says what the invariant path costs in throughput",
        "latencies of single requests are recorded; throughput was not measured",
    ),
}
"""Claims that no run establishes: as a sentence, and the reason where it is always the same."""
