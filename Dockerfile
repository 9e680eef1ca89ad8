# The build stack: Python 3.10 with PaddlePaddle, PaddleSlim and Paddle Lite, whatever the machine itself has.
#   docker build -t edgeflow .
#   docker run --rm -u "$(id -u):$(id -g)" -v "$PWD:/project" edgeflow build --target arm64-int8
FROM python:3.10-slim-bookworm
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 openssh-client adb \
    && rm -rf /var/lib/apt/lists/*
COPY . /src
# As scripts/setup does: PaddleSlim asks for opencv-python and swig, which nothing here uses.
RUN pip install --no-cache-dir --constraint /src/constraints.txt "/src[build-lean,metrics,text]" \
    && pip install --no-cache-dir --constraint /src/constraints.txt --no-deps paddleslim \
    && rm -rf /src
# Any user may run it, whose home is nowhere in the image.
ENV HOME=/tmp MPLCONFIGDIR=/tmp
WORKDIR /project
ENTRYPOINT ["edgeflow"]
