"""The model that the agent asks."""

from langchain_aws import ChatBedrockConverse
from settings import MODEL_ID, REGION

# Without being told, it streams only what it knows to stream.
model = ChatBedrockConverse(model=MODEL_ID, region_name=REGION, disable_streaming=False)
