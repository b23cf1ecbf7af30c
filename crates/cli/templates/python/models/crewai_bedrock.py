"""The model that the agent asks."""

import os

# It is read at import.
os.environ.setdefault("CREWAI_DISABLE_TELEMETRY", "true")

from crewai import LLM
from settings import MODEL_ID, REGION

model = LLM(model=MODEL_ID, provider="bedrock", region_name=REGION)
