"""Trains `mini`, the small model whose captions of the small world are true."""

from workers.engines.placeholders import install

install()  # transformers must be importable beside a torch built for the CPU
