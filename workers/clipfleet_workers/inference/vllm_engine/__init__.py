"""The engine `vllm`, and what it changes in vLLM."""
