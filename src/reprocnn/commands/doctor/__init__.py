"""Check the checkout, its stores and the machine for `python -m reprocnn doctor`.

Every check yields findings, changes nothing except what DVC itself writes in `.dvc/tmp`, and imports no TensorFlow.
"""
