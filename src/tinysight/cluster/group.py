"""Workers on a Ray cluster: processes that are placed together, and told from one another when they fail."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from tinysight.cluster.engine import Cluster
from tinysight.errors import TinysightError, TrainingStoppedError

# How long places for all workers may take to be free: a machine that is restarted comes back in this time.
PLACING_SECONDS = 600.0
# How long the other workers get to tell their own errors after the first one failed, seconds.
OTHERS_SECONDS = 2.0


class WorkersDiedError(Exception):
    """Workers that are gone, or lost one another; to be replaced."""


def needs_of_worker(cluster: Cluster) -> dict[str, Any]:
    """Options of Ray for each worker: a processor or a GPU of its own; questions are answered while work is done."""
    return {"num_cpus": 1, "num_gpus": 1 if cluster.kind == "gpu" else 0, "max_concurrency": 2}


@contextlib.contextmanager
def placed(cluster: Cluster, worker: type, arguments: Sequence[tuple[Any, ...]]) -> Iterator[list[Any]]:
    """A process for each of `arguments`, with an instance of the class `worker` in it, until the block ends.

    They are spread over machines as far as there are several, GPUs apart: those of one machine are near one another.

    Raises:
        TrainingStoppedError: when the cluster has no room for them in ten minutes.
    """
    import ray
    from ray.util.placement_group import placement_group, remove_placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    needs = needs_of_worker(cluster)
    bundle = {"CPU": 1.0} | ({"GPU": 1.0} if needs["num_gpus"] else {})
    group = placement_group([bundle] * len(arguments), strategy="SPREAD" if cluster.kind == "cpu" else "PACK")
    workers: list[Any] = []
    try:
        if not group.wait(PLACING_SECONDS):
            raise TrainingStoppedError(
                f"the cluster at {cluster.address} had no room for {len(arguments)} workers in"
                f" {PLACING_SECONDS / 60:g} minutes"
            )
        for place, own in enumerate(arguments):
            options = needs | {"scheduling_strategy": PlacementGroupSchedulingStrategy(group, place)}
            workers.append(ray.remote(worker).options(**options).remote(*own))
        yield workers
    finally:
        for one in workers:
            ray.kill(one)
        remove_placement_group(group)


def raise_failure(pending: Sequence[Any], first: BaseException) -> None:
    """Raises what went wrong: a worker's own error rather than what that did to the others.

    Args:
        pending: what the other workers are still asked for.
        first: the error that came first.

    Raises:
        TinysightError: what a worker says to a person.
        WorkersDiedError: when workers died, or a step failed because others did.
        BaseException: a bug, as it is.
    """
    import ray

    errors = [first]
    done, _ = ray.wait(list(pending), num_returns=len(pending), timeout=OTHERS_SECONDS) if pending else ([], [])
    for reference in done:
        try:
            ray.get(reference)
        except Exception as error:
            errors.append(error)
    causes = [getattr(error, "cause", error) for error in errors]
    for cause in causes:
        if isinstance(cause, TinysightError):
            raise cause from None
    for found, cause in zip(errors, causes, strict=True):
        if isinstance(found, ray.exceptions.RayTaskError) and type(cause).__name__ != "JaxRuntimeError":
            raise found
    if any(isinstance(found, ray.exceptions.RayActorError) for found in errors):
        # The steps of the others failed because of that.
        raise WorkersDiedError("a worker died") from None
    words = str(causes[0]).strip() or type(causes[0]).__name__
    raise WorkersDiedError(f"a step failed: {words.splitlines()[0][:200]}") from None
