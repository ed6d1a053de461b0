"""The main job: data, net, training, evaluation and a run folder that every later verb reads."""

from tinysight.jobs.by_clock import check_beside_minutes
from tinysight.jobs.on_cluster import check_beside_cluster
from tinysight.jobs.seeds import train_seeds
from tinysight.jobs.settings import Settings
from tinysight.jobs.starting import recipe_of_start, with_shape_of
from tinysight.jobs.train import resume, train
from tinysight.jobs.watching import check_tensorboard
from tinysight.live.following import LivePage

__all__ = [
    "LivePage",
    "Settings",
    "check_beside_cluster",
    "check_beside_minutes",
    "check_tensorboard",
    "recipe_of_start",
    "resume",
    "train",
    "train_seeds",
    "with_shape_of",
]
