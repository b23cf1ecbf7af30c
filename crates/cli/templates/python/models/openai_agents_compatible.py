"""The model that the agent asks."""

from agents import OpenAIChatCompletionsModel
from openai import AsyncOpenAI
from settings import API_KEY, MODEL_ID, MODEL_URL

model = OpenAIChatCompletionsModel(MODEL_ID, AsyncOpenAI(api_key=API_KEY, base_url=MODEL_URL))
