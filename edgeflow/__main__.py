"""`python -m edgeflow`."""

from edgeflow.cli.main import edgeflow

if __name__ == "__main__":
    edgeflow(prog_name="edgeflow")
