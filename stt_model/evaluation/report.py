"""The Markdown report of an evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from stt_model.base import cell
from stt_model.evaluation.alignment import ErrorCounts
from stt_model.evaluation.error_analysis import Breakdown
from stt_model.evaluation.measured import Measured
from stt_model.evaluation.samples import EvaluatedSample
from stt_model.evaluation.significance import FEWEST_FOR_TEST
from stt_model.evaluation.suspects import Suspect
from stt_model.evaluation.verdict import Verdict
from stt_model.text import show_characters

CONFUSIONS_SHOWN = 10
SUSPECTS_SHOWN = 20

METHOD = (
    "Ranges are 95 % confidence intervals, by bootstrap over utterances. Differences are tested"
    " with matched pairs (Gillick and Cox), each utterance being a segment."
)
FEW = f"Fewer than {FEWEST_FOR_TEST} utterances: intervals are rough, and differences prove little."


def to_markdown(result: Measured, verdict: Verdict) -> str:
    """Return the report: rates, baselines, breakdowns, confusions, and utterances."""
    sections = [
        f"# Evaluation on {cell(result.title)}" if result.dataset else "# Evaluation",
        f"Checkpoint {cell(result.checkpoint)}, {len(result.samples)} utterances.",
        *_verdict(verdict),
        *_remarks(result),
        _headline(result),
        METHOD,
        *_baselines(result),
        *map(_breakdown, result.breakdowns),
        "## Errors",
        _kinds(result),
        *_confusions(result.characters),
        *_forecast(result),
        *_suspects(result),
        *_parts(result),
    ]
    return "\n\n".join(sections) + "\n"


def _verdict(verdict: Verdict) -> Iterator[str]:
    yield f"**{cell(verdict.level.capitalize())}**: {cell(verdict.reason)}."
    if verdict.steps:
        yield "\n".join(f"- Next: {cell(step)}." for step in verdict.steps)


def _remarks(result: Measured) -> Iterator[str]:
    if result.note:
        yield f"**{cell(result.note)}**"
    if result.gate.asked:
        yield f"**Gate {cell(str(result.gate))}.**"
    elif not result.gate.passed:
        yield f"**Not released: {cell('; '.join(result.gate.reasons))}.**"
    if len(result.samples) < FEWEST_FOR_TEST:
        yield FEW
    if result.impossible:
        yield (
            f"{result.impossible} of the utterances have more labels than frames: their loss is"
            " infinite and not in the mean."
        )


def _headline(result: Measured) -> str:
    header = ["WER", "CER", "loss (nats an utterance)"]
    values = [str(result.overall.wer), str(result.overall.cer), f"{result.loss:.3f}"]
    if result.speed:
        header.append("real-time factor")
        values.append(f"{result.speed.real_time_factor:.3f} ({result.speed.device})")
    return _table("r" * len(header), header, [values])


def _baselines(result: Measured) -> Iterator[str]:
    if not result.baselines:
        return
    yield "## Compared with"
    rows = [
        [
            each.name,
            str(each.wer),
            str(each.cer),
            str(each.wer_difference),
            str(each.cer_difference),
        ]
        for each in result.baselines
    ]
    header = ["", "its WER", "its CER", "this model's WER", "this model's CER"]
    yield _table("lrrrr", header, rows)
    for each in result.baselines:
        if each.note:
            yield cell(each.note)


def _breakdown(breakdown: Breakdown) -> str:
    rows = [
        [
            cell(group.name),
            str(group.utterances),
            f"{group.seconds / 60:.1f}",
            str(group.wer),
            str(group.cer),
        ]
        for group in breakdown.groups
    ]
    header = [cell(breakdown.title), "utterances", "minutes", "WER", "CER"]
    more = f"\n\nand {breakdown.left_out} smaller ones." if breakdown.left_out else ""
    table = _table("lrrrr", header, rows)
    return f"## By {cell(breakdown.title)}\n\n{table}{more}"


def _kinds(result: Measured) -> str:
    rows = [
        [
            name,
            str(counts.length),
            str(counts.substitutions.total()),
            str(counts.deletions.total()),
            str(counts.insertions.total()),
        ]
        for name, counts in {"words": result.words, "characters": result.characters}.items()
    ]
    spaces = result.space_errors
    if spaces:
        rows.append(["of them spaces", *map(str, spaces)])
    return _table("lrrrr", ["", "reference", "substituted", "deleted", "inserted"], rows)


def _confusions(characters: ErrorCounts) -> Iterator[str]:
    if not characters.substitutions:
        return
    rows = [
        [cell(show_characters(reference)), cell(show_characters(hypothesis)), str(count)]
        for (reference, hypothesis), count in characters.substitutions.most_common(CONFUSIONS_SHOWN)
    ]
    yield "Characters most often taken for others:"
    yield _table("llr", ["reference", "hypothesis", "times"], rows)


def _forecast(result: Measured) -> Iterator[str]:
    if result.forecast:
        yield "## More speech"
        yield from result.forecast.sections()


def _suspects(result: Measured) -> Iterator[str]:
    if not result.suspects:
        return
    yield "## Suspects"
    yield suspects_summary(result.suspects)
    rows = [
        [
            f"{each.score:.1f}",
            "yes" if each.drop else "no",
            cell(each.why or "nothing but its rank"),
            cell(each.sample.src),
            cell(each.sample.res),
            cell(Path(each.sample.wav_filename).name),
        ]
        for each in result.suspects[:SUSPECTS_SHOWN]
    ]
    yield _table("rlllll", ["score", "drop", "why", "transcript", "hypothesis", "file"], rows)


def suspects_summary(suspects: Sequence[Suspect]) -> str:
    """Summarise a list of suspects in words."""
    reasons = sum(bool(each.reasons) for each in suspects)
    return (
        f"{reasons} clips have evidence against them, {sum(each.drop for each in suspects)} of them"
        " are marked to be dropped. The most suspicious are first; listen before you drop."
    )


def _parts(result: Measured) -> Iterator[str]:
    samples, count = result.samples, min(result.report_count, len(result.samples))
    middle = max((len(samples) - count) // 2, 0)
    parts = {
        "Best": samples[:count],
        "Median": samples[middle : middle + count],
        "Worst": samples[len(samples) - count :],
    }
    if len(samples) <= len(parts) * result.report_count:
        parts = {"All utterances, the best first": samples}
    for title, shown in parts.items():
        yield f"## {title}"
        yield _utterances(shown)


def _utterances(samples: Sequence[EvaluatedSample]) -> str:
    rows = [
        [
            f"{sample.wer:.0%}",
            f"{sample.cer:.0%}",
            f"{sample.loss:.2f}",
            cell(sample.src),
            cell(sample.res),
            cell(Path(sample.wav_filename).name),
        ]
        for sample in samples
    ]
    header = ["WER", "CER", "loss", "reference", "hypothesis", "file"]
    return _table("rrrlll", header, rows)


def _table(sides: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; ``sides`` has an ``l`` or ``r`` for the alignment of each column."""
    marks = ["---" if side == "l" else "---:" for side in sides]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, marks, *rows))
