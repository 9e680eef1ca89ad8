"""The five stages: plain functions, artifact + target + settings + tools in, artifact out."""
