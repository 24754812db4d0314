"""What `python -m reprocnn doctor` looks at. Every check gives findings, changes nothing, and imports no TensorFlow.

That is, nothing but what DVC itself writes in `.dvc/tmp` when it is asked.
"""
