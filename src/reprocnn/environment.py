"""Remove environment variables that would change results or break a run; stages, commands and make share the list.

Such variables are usually set for another purpose: a notebook sets MPLBACKEND, a Git hook GIT_INDEX_FILE, a company's
shell profile PIP_USER. This module imports only the standard library, because it runs before any library is imported.
The Makefile reads the list too: each line that starts with a quoted upper-case name.
"""

import os

IGNORED = (
    # Keras and TensorFlow: they select another Keras, fewer epochs, other kernels or another precision
    "AUTOGRAPH_STRICT_CONVERSION",
    "KERAS_DISTRIBUTION_JOB_ADDRESSES",
    "KERAS_DISTRIBUTION_NUM_PROCESSES",
    "KERAS_DISTRIBUTION_PROCESS_ID",
    "KERAS_MAX_EPOCHS",
    "KERAS_MAX_STEPS_PER_EPOCH",
    "KERAS_NNX_ENABLED",
    "NVIDIA_TF32_OVERRIDE",
    "TF_CONFIG",
    "TF_CUDNN_USE_AUTOTUNE",
    "TF_FUNCTION_JIT_COMPILE_DEFAULT",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_USE_LEGACY_KERAS",
    "TF_XLA_FLAGS",  # on a CPU, XLA makes these nets 2 to 8 times slower
    "XLA_FLAGS",
    # Other libraries
    "MATPLOTLIBRC",
    "MPLBACKEND",
    "NPY_PROMOTION_STATE",
    "PANDAS_COPY_ON_WRITE",
    "SCIPY_ARRAY_API",
    "SKLEARN_ASSUME_FINITE",
    "SKLEARN_WARNINGS_AS_ERRORS",
    # Git: they select another repository, index or diff
    "GIT_DIR",
    "GIT_EXTERNAL_DIFF",
    "GIT_INDEX_FILE",
    "GIT_LITERAL_PATHSPECS",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
    # Python, pip and uv: they read or install packages outside .venv
    "PIP_CONSTRAINT",
    "PIP_DRY_RUN",
    "PIP_NO_DEPS",
    "PIP_PREFIX",
    "PIP_PYTHON",
    "PIP_ROOT",
    "PIP_TARGET",
    "PIP_USER",
    "PYTHONHOME",
    "PYTHONPATH",
    "UV_CONSTRAINT",
    "UV_FROZEN",
    "UV_ISOLATED",
    "UV_LOCKED",
    "UV_NO_DEFAULT_GROUPS",
    "UV_NO_DEV",
    "UV_NO_EDITABLE",
    "UV_NO_INSTALL_PROJECT",
    "UV_NO_SYNC",
    "UV_OVERRIDE",
    "UV_PROJECT",
    "UV_PYTHON",
    "UV_SYSTEM_PYTHON",
    "UV_WORKING_DIRECTORY",
)
_PREFIXES = ("DNNL_", "ONEDNN_", "TF_SET_ONEDNN_")
"""Prefixes of variables that select oneDNN's kernels, precision and threads. Those that end in VERBOSE only log."""
_FIXED = {
    "KERAS_BACKEND": "tensorflow",  # ~/.keras/keras.json may select another one
    # By default the CPU model decides whether TensorFlow uses oneDNN (`DefaultOneDnnPolicy` in its port.cc)
    "TF_ENABLE_ONEDNN_OPTS": "1",
}
_DEFAULTS = {
    "TF_CPP_MIN_LOG_LEVEL": "2",  # no start-up messages
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime sends usage data and writes an ID of the machine to the user's cache
}


def prepare() -> None:
    """Remove or set environment variables. Call it before libraries are imported and before any thread starts."""
    for name in list(os.environ):
        selects_kernels = name.startswith(_PREFIXES) and not name.endswith("VERBOSE")
        if name in IGNORED or selects_kernels:
            del os.environ[name]
    os.environ.update(_FIXED)
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
