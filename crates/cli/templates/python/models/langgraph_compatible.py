"""The model that the agent asks."""

from langchain_openai import ChatOpenAI
from settings import API_KEY, MODEL_ID, MODEL_URL

model = ChatOpenAI(model=MODEL_ID, api_key=API_KEY, base_url=MODEL_URL)
