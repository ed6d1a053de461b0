"""The main job: data, net, training, evaluation and a run folder that every later verb reads."""

from tinysight.jobs.seeds import train_seeds
from tinysight.jobs.settings import Settings
from tinysight.jobs.train import resume, train

__all__ = ["Settings", "resume", "train", "train_seeds"]
