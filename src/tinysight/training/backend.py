"""The one place where Keras's backend and its device are chosen, before Keras is imported."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import os
import platform
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tinysight.cores import num_cores
from tinysight.errors import InvalidValueError, UnknownNameError
from tinysight.memory import release_libraries
from tinysight.native_output import without_native_stderr

BACKENDS = ("tensorflow", "jax", "torch")
DeviceChoice = Literal["auto", "cpu", "gpu"]
# What Keras imports where it is installed, and does without where it is not, for wrappers, arguments and pictures that
# no command uses; and what TensorFlow imports so. JAX needs SciPy.
_OPTIONAL = ("matplotlib", "pandas", "sklearn")
_OPTIONAL_FOR_TENSORFLOW = ("jax", "scipy")


@dataclass(frozen=True, kw_only=True)
class Device:
    """A processor or accelerator that a backend can train on."""

    name: str
    kind: str
    description: str
    backend: str


def choose_backend(device: str = "auto") -> str:
    """Chooses the backend once: KERAS_BACKEND if set, else JAX where it sees a GPU, else TensorFlow.

    Args:
        device: "auto", "cpu" or "gpu", optionally with an index as in "gpu:1".

    Returns:
        The backend's name. When Keras is imported already, its backend stands, with the devices that it saw then.

    Raises:
        UnknownNameError: for a device or a KERAS_BACKEND that does not exist.
        InvalidValueError: when a GPU is asked for and there is none.
    """
    kind, index = parse_device(device)
    if "keras" not in sys.modules:
        _quiet_native_logs()
        if kind == "cpu":
            # Read by JAX at import and by CUDA at start; both are too late to change afterwards.
            os.environ["JAX_PLATFORMS"] = "cpu"
            os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        elif index is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = _visible_gpu(index)
        os.environ["KERAS_BACKEND"] = _backend_name(kind)
    with without_native_stderr(), warnings.catch_warnings(), _lean_import():
        warnings.simplefilter("ignore")
        import keras
    name: str = keras.backend.backend()
    if name == "tensorflow":
        _grow_memory()
    if kind == "gpu" and not any(found.kind == "gpu" for found in list_devices()):
        raise InvalidValueError(f"--device {device}: {name} sees no GPU; `tinysight devices` lists what there is")
    return name


def _visible_gpu(index: int) -> str:
    """GPU `index` of those that this process may use, as CUDA_VISIBLE_DEVICES names it.

    Raises:
        InvalidValueError: when it may use fewer.
    """
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        return str(index)
    names = [name.strip() for name in given.split(",") if name.strip()]
    if index >= len(names):
        raise InvalidValueError(
            f"--device gpu:{index}: CUDA_VISIBLE_DEVICES={given} leaves {len(names)}; expected a lower number"
        )
    return names[index]


_owned = False


def own_process() -> None:
    """Tells that this process is one command and not a person's own program, so that Keras may be imported leanly."""
    global _owned
    _owned = True


@contextlib.contextmanager
def _lean_import() -> Iterator[None]:
    """Imports in half the time, in a process that is ours, and keeps little of what only the import needs.

    Packages that Keras and TensorFlow do without where they are not installed are not seen by them; whoever imports
    them afterwards finds them. The garbage collector walks through a million new objects many times, and once more
    at exit, and finds nothing: it is off while they are made, and leaves them alone afterwards.
    """
    if not _owned or "keras" in sys.modules:
        yield
        return
    optional = _OPTIONAL + _OPTIONAL_FOR_TENSORFLOW * (os.environ["KERAS_BACKEND"] == "tensorflow")
    hidden = [name for name in optional if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
        gc.freeze()
        if was_on:
            gc.enable()
        release_libraries()


def parse_device(device: str) -> tuple[str, int | None]:
    """("gpu", 1) of "gpu:1"; the number is None where none is given.

    Raises:
        UnknownNameError, InvalidValueError: for what is none of auto, cpu, gpu and gpu:NUMBER.
    """
    kind, separator, index = device.partition(":")
    if kind not in ("auto", "cpu", "gpu"):
        raise UnknownNameError("device", device, ("auto", "cpu", "gpu", "gpu:0"))
    if separator and not (kind == "gpu" and index.isdecimal()):
        raise InvalidValueError(f"device '{device}': expected auto, cpu, gpu or gpu:NUMBER")
    return kind, int(index) if separator else None


def _backend_name(kind: str) -> str:
    wanted = os.environ.get("KERAS_BACKEND")
    if wanted:
        if wanted not in BACKENDS:
            raise UnknownNameError("KERAS_BACKEND", wanted, BACKENDS)
        if importlib.util.find_spec(wanted) is None:
            raise InvalidValueError(
                f"KERAS_BACKEND is {wanted}, which is not installed: install it or unset KERAS_BACKEND"
            )
        return wanted
    return "jax" if kind != "cpu" and jax_sees_gpu() else "tensorflow"


def jax_sees_gpu() -> bool:
    """Whether JAX can use a GPU; JAX is imported only where a driver and its CUDA plugin are there."""
    has_driver = Path("/dev/nvidiactl").exists() or Path("/dev/nvidia0").exists()
    if not has_driver or importlib.util.find_spec("jax") is None:
        return False
    import jax

    try:
        return bool(jax.devices("gpu"))
    except RuntimeError:
        return False


def _quiet_native_logs() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Set explicitly, so that TensorFlow need not announce its default.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")


def _grow_memory() -> None:
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:  # The GPU is in use already, with the choice made then.
            return


def list_devices() -> list[Device]:
    """What the chosen backend can train on, the processor first."""
    import keras

    name = keras.backend.backend()
    devices = [Device(name="cpu", kind="cpu", description=processor(), backend=name)]
    return devices + [
        Device(name=f"gpu:{index}", kind="gpu", description=text, backend=name)
        for index, text in enumerate(_gpus(name))
    ]


def _gpus(backend: str) -> list[str]:
    if backend == "jax":
        import jax

        return [device.device_kind for device in jax.devices() if device.platform in ("gpu", "cuda", "rocm")]
    if backend == "tensorflow":
        import tensorflow as tf

        found = tf.config.list_physical_devices("GPU")
        return [str(tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)) for gpu in found]
    import torch

    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


def processor() -> str:
    """The processor's name and how many of its cores this process may use."""
    cores = num_cores()
    return f"{_processor_model()}, {cores} {'core' if cores == 1 else 'cores'}"


def _processor_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
