"""Whether a metric gives what it gave when a kept verification was made."""

from __future__ import annotations

from edgeflow.core.artifact import Artifact
from edgeflow.project.places import REFERENCE
from edgeflow.project.recipe import Recipe


def scores_again(recipe: Recipe, found: Artifact, ingested: Artifact) -> bool:
    """A built-in metric gives what it gave. A user's depends on anything, and is called again."""
    name = recipe.metric.name if recipe.metric is not None else ""
    if ".py:" not in name:
        return True
    from edgeflow.files.arrays import load_npz
    from edgeflow.project.reference import load_reference
    from edgeflow.verify.scores import score
    from edgeflow.verify.stage import CANDIDATE, scores_as_facts

    arrays = load_npz(found.folder / CANDIDATE)
    outputs = [arrays[f"output/{k}"] for k in range(len(arrays))]
    scores, _ = score(name, load_reference(ingested.folder / REFERENCE), outputs, recipe.folder, None)
    again = scores_as_facts(*((None, None) if scores is None else (scores.reference, scores.candidate)))
    return bool(found.facts["scores"] == again)
