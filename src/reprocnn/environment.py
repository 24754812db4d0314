"""Variables of the shell that are set aside: the one list for every stage, every command and make.

They would change results or break a run without being meant for this project: a notebook sets MPLBACKEND, a Git hook
GIT_INDEX_FILE, a company's profile PIP_USER. Imported before any library, so it needs the standard library alone. The
Makefile reads the names in upper case between quotes that stand alone on a line.
"""

import os

SET_ASIDE = (
    # Keras and TensorFlow: another Keras, fewer epochs, other kernels, other precision
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
    # The other libraries
    "MATPLOTLIBRC",
    "MPLBACKEND",
    "NPY_PROMOTION_STATE",
    "PANDAS_COPY_ON_WRITE",
    "SCIPY_ARRAY_API",
    "SKLEARN_ASSUME_FINITE",
    "SKLEARN_WARNINGS_AS_ERRORS",
    # Git: another repository, index or diff than those of this checkout
    "GIT_DIR",
    "GIT_EXTERNAL_DIFF",
    "GIT_INDEX_FILE",
    "GIT_LITERAL_PATHSPECS",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
    # Python, pip and uv: packages from or to another place than .venv
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
"""oneDNN's kernels, their precision and their threads; what ends in VERBOSE only reports."""
_FIXED = {
    "KERAS_BACKEND": "tensorflow",  # ~/.keras/keras.json may name another one
    # Left alone, TensorFlow uses oneDNN or not by the kind of CPU (`DefaultOneDnnPolicy` in its port.cc)
    "TF_ENABLE_ONEDNN_OPTS": "1",
}
_DEFAULTS = {"TF_CPP_MIN_LOG_LEVEL": "2"}  # no banner


def prepare() -> None:
    """Set aside what the shell says of the libraries. Call this before they are imported and before any thread."""
    for name in list(os.environ):
        kernels = name.startswith(_PREFIXES) and not name.endswith("VERBOSE")
        if name in SET_ASIDE or kernels:
            del os.environ[name]
    os.environ.update(_FIXED)
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
