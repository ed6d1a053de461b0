"""A recipe against the tutorial whose accuracy it is to reach: whole processes in turn, a new seed each round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tinysight.benchmarks.bench import Bench
from tinysight.benchmarks.measure import Outcome
from tinysight.benchmarks.processes import Done
from tinysight.benchmarks.spread import gigabytes, in_words, peak, spread


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Who races whom.

    Attributes:
        recipe: ours.
        script: the tutorial in plain Keras.
        data: of both.
        goal: how many times faster.
        accuracy: what the mean over rounds has to reach; None for the tutorial's own mean.
    """

    recipe: str
    script: str
    data: str
    goal: float
    accuracy: float | None = None

    def take(self, bench: Bench) -> Outcome:
        """Races them, then trains once more with the report, which is what people run."""
        archive = bench.archive(self.data)
        plain: list[Done] = []
        ours: list[Done] = []

        def warm_up(run: Callable[[int], None], seed: int) -> None:
            """One epoch of the same program, untimed, so that it finds its files in memory.

            Where a system reclaims what was not used for a minute (DAMON on Linux, for one), a gigabyte of libraries
            and data is read from the disk again by whoever is started after a tutorial of minutes.
            """
            if bench.rehearse:
                return
            if run is run_plain:
                bench.plain(self.script, archive, seed, 1)
            else:
                bench.train(self.recipe, self.data, seed, epochs=1)

        def run_plain(seed: int) -> None:
            plain.append(bench.plain(self.script, archive, seed, *bench.epochs_of_plain()))
            _say(bench, self.script, seed, plain[-1], plain[-1].last_line())

        def run_ours(seed: int) -> None:
            ours.append(self._train(bench, seed))
            _say(bench, f"tinysight train {self.recipe}", seed, ours[-1], ours[-1].value())

        for seed in range(bench.rounds):
            # Whoever is second finds caches warm and the processor hot: they take turns at it.
            for run in (run_plain, run_ours) if seed % 2 == 0 else (run_ours, run_plain):
                warm_up(run, seed)
                run(seed)
        bench.say(f"{self.recipe} once more, with its report")
        return self._outcome(plain, ours, self._train(bench, 0, report=True))

    def _train(self, bench: Bench, seed: int, report: bool = False) -> Done:
        _, done = bench.train(self.recipe, self.data, seed, epochs=1 if bench.rehearse else None, report=report)
        return done

    def _outcome(self, plain: Sequence[Done], ours: Sequence[Done], reported: Done) -> Outcome:
        theirs = _side(plain, [done.last_line() for done in plain])
        mine = _side(ours, [done.value() for done in ours])
        target = theirs["accuracy"]["mean"] if self.accuracy is None else self.accuracy
        ratio = theirs["seconds"]["median"] / mine["seconds"]["median"]
        figures = {
            "recipe": self.recipe,
            "script": self.script,
            "plain": theirs,
            "tinysight": mine,
            "ratio": ratio,
            "ratios": [one.seconds / other.seconds for one, other in zip(plain, ours, strict=True)],
            "goal": self.goal,
            "accuracy_goal": target,
            "is_accurate": mine["accuracy"]["mean"] >= target,
            "is_fast": ratio >= self.goal,
            "with_report": {
                "seconds": reported.seconds,
                "peak_bytes": reported.peak_bytes,
                "ratio": theirs["seconds"]["median"] / reported.seconds,
            },
        }
        reached = "at" if figures["is_accurate"] else "below"
        return Outcome(
            figures=figures,
            measured=f"{ratio:.1f} times; {mine['accuracy']['mean']:.2%}, {reached} {target:.2%}",
            is_met=bool(figures["is_accurate"] and figures["is_fast"]),
            lines=_lines(figures),
        )


def _say(bench: Bench, name: str, seed: int, done: Done, result: Any) -> None:
    bench.say(
        f"round {seed + 1} of {bench.rounds}: {name}: {done.seconds:.1f} s, {gigabytes(done.peak_bytes)},"
        f" {result['test_accuracy']:.2%}"
    )


def _side(done: Sequence[Done], results: Sequence[Any]) -> dict[str, Any]:
    return {
        "seconds": spread([one.seconds for one in done]),
        "accuracy": spread([result["test_accuracy"] for result in results]),
        "peak_bytes": peak([one.peak_bytes for one in done]),
        "parameters": results[0]["parameters"],
    }


def _lines(figures: dict[str, Any]) -> list[str]:
    lines = [
        "| | whole process | test accuracy, mean | peak memory | parameters |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, side in (
        (f"`{figures['script']}`", figures["plain"]),
        (f"`tinysight train {figures['recipe']} --no-report`", figures["tinysight"]),
    ):
        lines.append(
            f"| {name} | {in_words(side['seconds'], '{:.1f} s')} | {in_words(side['accuracy'], '{:.2%}', 'mean')} |"
            f" {gigabytes(side['peak_bytes'])} | {side['parameters']:,} |"
        )
    reported = figures["with_report"]
    rounds = ", ".join(f"{ratio:.1f}" for ratio in figures["ratios"])
    accuracy = "reached" if figures["is_accurate"] else "missed"
    return [
        *lines,
        "",
        f"- Ratio of the medians: {figures['ratio']:.1f} (by round: {rounds}); goal {figures['goal']:g}.",
        f"- Mean accuracy to reach: {figures['accuracy_goal']:.2%}; {accuracy}.",
        f"- With the report, as by default, once: {reported['seconds']:.1f} s, {gigabytes(reported['peak_bytes'])},"
        f" ratio {reported['ratio']:.1f}.",
    ]
