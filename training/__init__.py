"""Trains `mini`, the small model whose captions of the small world are true."""

from clipfleet_workers.inference.vllm_engine.placeholders import install

install()  # transformers must be importable beside a torch built for the CPU
