# The build stack: Python 3.10 with PaddlePaddle, PaddleSlim and Paddle Lite, whatever the machine itself has.
#   docker build -t edgeflow .
#   docker run --rm -u "$(id -u):$(id -g)" -v "$PWD:/project" edgeflow build --target arm64-int8
FROM python:3.10-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 libgl1 libglib2.0-0 openssh-client \
    && rm -rf /var/lib/apt/lists/*
COPY . /src
RUN pip install --no-cache-dir --constraint /src/constraints.txt "/src[build,metrics,text]" && rm -rf /src
ENV HOME=/tmp
WORKDIR /project
ENTRYPOINT ["edgeflow"]
