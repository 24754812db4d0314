"""Check the checkout, its stores and the machine for `python -m reprocnn doctor`.

Every check yields findings. It does not import TensorFlow, and changes nothing except what DVC writes in `.dvc/tmp`.
"""
