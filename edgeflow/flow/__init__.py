"""One run of the stages: build, plan, cache, workers, reproduce, accepted figures."""
