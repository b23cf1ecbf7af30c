"""The model that the agent asks."""

from settings import MODEL_ID, REGION
from strands.models import BedrockModel

model = BedrockModel(model_id=MODEL_ID, region_name=REGION)
