"""The model that the agent asks."""

# The client would import it at the first request of each session; now it is in the snapshot it begins from.
import openai.resources.chat  # noqa: F401
from settings import API_KEY, MODEL_ID, MODEL_URL
from strands.models.openai import OpenAIModel

model = OpenAIModel(client_args={"api_key": API_KEY, "base_url": MODEL_URL}, model_id=MODEL_ID)
