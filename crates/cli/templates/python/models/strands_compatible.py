"""The model that the agent asks."""

from settings import API_KEY, MODEL_ID, MODEL_URL
from strands.models.openai import OpenAIModel

model = OpenAIModel(client_args={"api_key": API_KEY, "base_url": MODEL_URL}, model_id=MODEL_ID)
