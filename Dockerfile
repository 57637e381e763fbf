# bindtune in a container, with the versions of constraints.txt.
#
#   CPU:          docker build -t bindtune .
#   NVIDIA GPUs:  docker build --build-arg TORCH_INDEX= -t bindtune:gpu .
#
#   docker run --rm -v "$PWD:/data" --user "$(id -u):$(id -g)" bindtune demo --small
#   docker run --rm --gpus all --ipc=host -v "$PWD:/data" --user "$(id -u):$(id -g)" bindtune:gpu doctor
FROM python:3.13-slim

# Where PyTorch comes from: its builds for CPUs, or with an empty value PyPI's, which have CUDA.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore

# On a GPU, Triton compiles attention kernels when they are first used, for which it needs a C compiler.
# hadolint ignore=DL3008
RUN if [ -z "$TORCH_INDEX" ]; then \
        apt-get update \
        && apt-get install -y --no-install-recommends gcc libc6-dev \
        && rm -rf /var/lib/apt/lists/*; \
    fi

WORKDIR /opt/bindtune
COPY constraints.txt pyproject.toml README.md LICENSE NOTICE ./
COPY src ./src
RUN if [ -n "$TORCH_INDEX" ]; then \
        pip install --no-deps --index-url "$TORCH_INDEX" -c constraints.txt torch; \
    fi \
    && pip install -c constraints.txt hatchling \
    && pip install -c constraints.txt --no-build-isolation '.[clusters,structures]'

# Caches lie in the mounted folder: weights are fetched once, and a user without an account can run the image.
ENV HOME=/data USER=bindtune
RUN useradd --home-dir /data --uid 1000 bindtune && install -d -o bindtune -g bindtune /data
USER 1000
WORKDIR /data

ENTRYPOINT ["bindtune"]
CMD ["--help"]
