"""Answer what is in a picture, with ONNX Runtime, Pillow and NumPy alone.

The modules import nothing else of this project, and each other by relative imports: a logged MLflow model contains a
copy of this folder. MLflow runs mlflow_model.py, which nothing else imports.
"""
