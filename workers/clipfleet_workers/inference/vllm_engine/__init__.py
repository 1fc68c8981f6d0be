"""vLLM as the engine, and what makes it one."""
