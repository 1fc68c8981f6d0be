"""The engines that can run models, and where each one's class is. Adding one is one entry.

Names alone: settings are checked by them, and a worker imports the class of the one it loads.
"""

# "MODULE:CLASS", the module in `clipfleet_workers.inference`.
ENGINES = {
    "vllm": "vllm_engine.engine:VllmEngine",
    "transformers": "transformers_engine:TransformersEngine",
    "openai": "openai_engine:OpenAIEngine",
}


def check_engine(name: str) -> str:
    """`name`, if there is such an engine. Raises `ValueError`, naming those there are."""
    if name not in ENGINES:
        raise ValueError(f"there is no engine {name}; there are {', '.join(ENGINES)}")
    return name
