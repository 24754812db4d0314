"""What lies between the stages: a module per thing, with its path, type, writer and reader."""
