"""The model that the agent asks."""

# The client would import it at the first request of each session; now it is in the snapshot it begins from.
import openai.resources.chat  # noqa: F401
from agents import OpenAIChatCompletionsModel
from openai import AsyncOpenAI
from settings import API_KEY, MODEL_ID, MODEL_URL

model = OpenAIChatCompletionsModel(MODEL_ID, AsyncOpenAI(api_key=API_KEY, base_url=MODEL_URL))
