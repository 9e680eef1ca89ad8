"""The child process of paddle_lite.py: loads one file, answers one .npz of outputs for each .npz of inputs."""

import io
import os
import runpy
import struct
import sys

import numpy as np

FRAME = struct.Struct("<Q")


def main(path: str, fence: str) -> None:
    """Serve until standard input ends, and write nowhere. Standard output is for answers: the runtime prints to it."""
    runpy.run_path(fence)["write_only_in"]([])
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    from paddlelite.lite import MobileConfig, create_paddle_predictor

    config = MobileConfig()
    config.set_model_from_file(path)
    predictor = create_paddle_predictor(config)
    while len(head := sys.stdin.buffer.read(FRAME.size)) == FRAME.size:
        archive = np.load(io.BytesIO(sys.stdin.buffer.read(FRAME.unpack(head)[0])), allow_pickle=False)
        for k, name in enumerate(archive.files):
            predictor.get_input(k).from_numpy(archive[name])
        predictor.run()
        outputs = [predictor.get_output(k).numpy() for k in range(len(predictor.get_output_names()))]
        reply = io.BytesIO()
        np.savez(reply, *outputs)
        answers.write(FRAME.pack(reply.tell()) + reply.getvalue())
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
