"""The command `audit`: find images and labels that a person should look at."""
